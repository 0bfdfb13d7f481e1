//! Many small neural networks, trained side by side. Nothing here knows of audits.
