#!/usr/bin/env bash
# Makes the certificates of the TLS tests. Their keys are worth nothing: they are public, and
# nothing trusts them but these tests. Made with OpenSSL 3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

key "$scratch/authority.key"
openssl req -x509 -new -key "$scratch/authority.key" -sha256 -days 36500 \
    -subj "/CN=giveaway test authority" -out authority.pem \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"

# Name, names of the host, days that it is good for.
leaf() {
    key "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$scratch/$1.csr"
    openssl x509 -req -in "$scratch/$1.csr" -CA authority.pem -CAkey "$scratch/authority.key" \
        -sha256 -days "$3" -out "$1.pem" -extfile - <<EXTENSIONS
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=$2
EXTENSIONS
}

leaf good "DNS:localhost,IP:127.0.0.1" 36500
leaf elsewhere "DNS:elsewhere.test" 36500
leaf expired "DNS:localhost,IP:127.0.0.1" -1
