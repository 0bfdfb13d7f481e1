(() => {
  'use strict';
  const PAGE = 25;
  const section = document.getElementById('records');
  const holder = document.getElementById('payload');
  if (!section || !holder || !holder.textContent.trim()) return;
  const find = (id) => document.getElementById(id);

  // Elements. Text of the data goes in as text, and isolated, as it may run from right to left.
  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const data = (text) => make('bdi', null, text);
  const drawn = (name, attributes, text) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Numbers for people.
  const there = (value) => value !== null && value !== undefined;
  const count = (value) => value.toLocaleString('en-US');
  const small = (p) => (p > 0 && p < 0.001 ? p.toExponential(1).replace('e-0', 'e-') : p.toFixed(4));
  const decimals = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && size < 0.001) return value.toExponential(1);
    return size >= 1000 ? value.toPrecision(4).replace('e+', 'e') : value.toFixed(3);
  };
  const plain = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.0001 || size >= 1e9)) return value.toExponential(2).replace('e+', 'e');
    return String(Number(value.toPrecision(Number.isInteger(value) ? 9 : 5)));
  };
  const percent = (share) => {
    const value = 100 * share;
    if (value > 0 && value < 1) return 'less than 1 %';
    if (value > 99 && value < 100) return 'more than 99 %';
    return `${value.toFixed(0)} %`;
  };
  // A probability in words: as a decimal that can be read aloud.
  const probability = (p) => {
    if (p >= 0.001) return p.toPrecision(2);
    const digits = Math.min(20, 1 - Math.floor(Math.log10(p)));
    return digits > 12 ? p.toExponential(1) : p.toFixed(digits);
  };

  // The other way round, to two digits.
  const oneIn = (p) => `1 in ${count(Number((1 / p).toPrecision(2)))}`;

  const problem = (text) => {
    const place = find('records-problem');
    place.textContent = text;
    place.hidden = false;
  };

  const decode = async () => {
    const text = holder.textContent.trim();
    const binary = atob(text);
    const packed = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i += 1) packed[i] = binary.charCodeAt(i);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    const length = new DataView(bytes.buffer).getUint32(0, true);
    const all = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    all.bytes = bytes.subarray(4 + length);
    holder.remove();
    return all;
  };

  if (!('DecompressionStream' in window)) {
    problem('This browser is too old to unpack the table of all records (it has no DecompressionStream). The most exposed are below; a newer browser shows all.');
    return;
  }

  const start = (all) => {
    const rows = all.id.length;
    const one = all.unitName === 'groups' ? 'group' : 'record';
    const table = find('records-table');
    const body = table.tBodies[0];
    const state = { sort: 'p', down: false, page: 0, view: [], at: -1 };
    const className = (row) => all.classes[all.class[row]];
    // A record that was not tested has no verdict: neither yes nor no.
    const UNTESTED = 0;
    const UNNAMED = 1;
    const NAMED = 2;
    const verdicts = all.given.map((given, row) => (all.p && there(all.p[row]) ? (given ? NAMED : UNNAMED) : UNTESTED));
    const inTable = ['not tested', 'not shown', 'yes'];
    const inWords = ['not tested', 'not shown to be given away', 'given away'];
    const hashOf = (row) => `#record-${encodeURIComponent(all.id[row])}`;
    const rowOf = new Map();
    for (let row = rows - 1; row >= 0; row -= 1) rowOf.set(all.id[row], row);

    // Where the bytes of each row's losses begin.
    const offsets = new Uint32Array(rows + 1);
    if (all.losses) {
      offsets[0] = all.losses.at;
      for (let row = 0; row < rows; row += 1) {
        offsets[row + 1] = offsets[row] + all.losses.outBytes[row] + all.losses.inBytes[row];
      }
    }
    const lossesOf = (row) => {
      const { low, high, outBytes } = all.losses;
      const side = (from, to) => {
        let byte = 0;
        const values = [];
        for (let i = from; i < to; i += 1) {
          byte += all.bytes[i];
          values.push(low[row] * (high[row] / low[row]) ** (byte / 255));
        }
        return values;
      };
      const middle = offsets[row] + outBytes[row];
      return [side(offsets[row], middle), side(middle, offsets[row + 1])];
    };

    // Columns: key, heading, how a value is written, and what it means.
    const truth = (value) => (there(value) ? (value ? 'yes' : 'no') : '');
    const columns = [];
    const column = (key, head, values, write, hint, words) => {
      if (values && values.some(there)) columns.push({ key, head, values, write, hint, words });
    };
    const share = (part, whole) => (part && whole ? part.map((n, i) => (there(n) && whole[i] ? n / whole[i] : null)) : null);
    const found = share(all.found, all.inTargets);
    const accused = share(all.accused, all.outTargets);
    const near = there(all.alpha) ? ` (distance below ${all.alpha.toPrecision(3)})` : '';
    column('id', 'Identifier', all.id, null, 'The identifier in the data', true);
    column('class', 'Class', all.class, (code) => all.classes[code], null, true);
    column('group', 'Group', all.group, String, null, true);
    column('given', 'Given away', verdicts, (verdict) => inTable[verdict], 'yes: named as a member at the wanted rate of false discoveries; not shown: tested, and not named; not tested: nothing is said of it');
    column('member', 'Member', all.member, truth, 'Whether it was in the target’s training data');
    column('p', 'p', all.p, small, 'P-value: probability that a record that was not in training looks like this or more so; of the tested only');
    column('q', 'q', all.q, small, 'Q-value: smallest rate of false discoveries at which it is named');
    if (all.records && all.records.some((n) => n > 1)) column('records', 'Records', all.records, count, 'Records of the unit');
    column('loss', 'Target loss', all.loss, decimals, 'Loss of the target on it');
    column('out', 'OUT loss', all.out, decimals, 'Mean loss of reference models that were not trained on it');
    column('in', 'IN loss', all.in, decimals, 'Mean loss of reference models that were trained on it');
    column('near', 'Neighbours', all.near, count, `Reference records, of any class, to which the models of the selecting half answer alike${near}`);
    column('found', 'Found IN', found, (_, row) => `${all.found[row]} of ${all.inTargets[row]}`, 'Reference models trained on it in which it is found');
    column('accused', 'Accused OUT', accused, (_, row) => `${all.accused[row]} of ${all.outTargets[row]}`, 'Reference models not trained on it in which it is accused all the same');
    column('leak', 'Leak', all.leak, decimals, 'What training on it changes: mean loss of the models without it less that of those with it, in nats');
    column('reason', 'Reason', all.reason, (code) => all.reasons[code], 'Why it is exposed, or would be', true);
    all.attacks.forEach((attack, i) => column(`attack-${i}`, attack.name, attack.score, decimals, `Score by ${attack.name}: the higher, the more it looks like a member`));
    const columnOf = (key) => columns.find((c) => c.key === key);

    // Sorting: stable, what is missing always last, numbers as numbers, texts as people count.
    const collator = new Intl.Collator('en', { numeric: true });
    let texts = null;
    const textOrder = (key, values, write) => {
      texts = texts || {};
      if (!texts[key]) {
        const order = [...new Set(values)].sort((a, b) => collator.compare(write ? write(a) : a, write ? write(b) : b));
        const place = new Map(order.map((value, i) => [value, i]));
        texts[key] = values.map((value) => (there(value) ? place.get(value) : null));
      }
      return texts[key];
    };
    const sorted = (view) => {
      const { values, words, write } = columnOf(state.sort) || columns[0];
      const keys = words ? textOrder(state.sort, values, write) : values;
      const sign = state.down ? -1 : 1;
      return view.sort((a, b) => {
        const [x, y] = [keys[a], keys[b]];
        if (!there(x) || !there(y)) return there(x) ? -1 : there(y) ? 1 : a - b;
        return sign * (x - y) || a - b;
      });
    };

    const filters = {
      flagged: find('filter-flagged'),
      class: find('filter-class'),
      attack: find('filter-attack'),
      text: find('filter-text'),
    };
    all.classes.forEach((name, code) => filters.class.append(make('option', { value: code }, name)));
    if (filters.attack) {
      all.attacks.forEach((attack, i) => filters.attack.append(make('option', { value: i }, attack.name)));
    }

    const among = {
      all: () => true,
      given: (verdict) => verdict === NAMED,
      unnamed: (verdict) => verdict === UNNAMED,
      tested: (verdict) => verdict !== UNTESTED,
      untested: (verdict) => verdict === UNTESTED,
    };
    const refresh = () => {
      const wanted = filters.flagged.value;
      const code = filters.class.value;
      const attack = filters.attack && filters.attack.value !== '' ? all.attacks[filters.attack.value].first : null;
      const text = filters.text.value.trim().toLowerCase();
      const view = [];
      for (let row = 0; row < rows; row += 1) {
        if (!among[wanted](verdicts[row])) continue;
        if (code !== '' && all.class[row] !== Number(code)) continue;
        if (attack && !attack[row]) continue;
        if (text && !all.id[row].toLowerCase().includes(text)) continue;
        view.push(row);
      }
      state.view = sorted(view);
      state.page = 0;
      fill();
    };

    const heads = new Map();
    const headings = () => {
      const line = make('tr');
      for (const c of columns) {
        const button = make('button', { type: 'button', title: c.hint }, c.head);
        const cell = make('th', { scope: 'col', 'data-key': c.key, class: c.words ? 'words' : null }, button);
        button.addEventListener('click', () => {
          // Large values first for scores and the like, small ones for texts and p-values.
          const first = !(c.words || ['p', 'q', 'loss'].includes(c.key));
          state.down = state.sort === c.key ? !state.down : first;
          state.sort = c.key;
          refresh();
        });
        heads.set(c.key, cell);
        line.append(cell);
      }
      table.tHead.append(line);
    };

    const fill = () => {
      const from = state.page * PAGE;
      const shown = state.view.slice(from, from + PAGE);
      for (const [key, cell] of heads) {
        if (key === state.sort) cell.setAttribute('aria-sort', state.down ? 'descending' : 'ascending');
        else cell.removeAttribute('aria-sort');
      }
      body.replaceChildren(...shown.map((row) => {
        const line = make('tr', { 'data-row': row });
        for (const c of columns) {
          const value = c.values[row];
          if (c.key === 'id') {
            line.append(make('th', { scope: 'row', class: 'words' }, make('a', { href: hashOf(row), title: all.id[row] }, data(value))));
          } else if (!there(value)) {
            line.append(make('td'));
          } else if (c.words) {
            line.append(make('td', { class: 'words', title: c.write(value) }, data(c.write(value))));
          } else {
            line.append(make('td', { class: c.key === 'given' ? (value === NAMED ? 'verdict flag' : 'verdict') : null }, c.write(value, row)));
          }
        }
        return line;
      }));
      const total = state.view.length;
      const status = total === 0
        ? `None of ${count(rows)} rows matches.`
        : `${count(total)} of ${count(rows)} rows ${total === 1 ? 'matches' : 'match'}; ${count(from + 1)} to ${count(from + shown.length)} shown.`;
      find('records-status').textContent = status;
      find('records-previous').disabled = state.page === 0;
      find('records-next').disabled = from + PAGE >= total;
    };

    // The evidence of a record.
    const dialog = find('record');
    const evidence = find('record-body');

    const tableOf = (label, head, lines) => {
      const cell = (name, value, i, scope) => {
        const words = i === 0 || head[i].words;
        return make(name, { class: words ? 'words' : null, scope }, value);
      };
      // Where it is too wide for a phone it scrolls, and keys must reach it.
      return make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label }, make('table', null,
        make('thead', null, make('tr', null, ...head.map((h, i) => cell('th', h.text, i, 'col')))),
        make('tbody', null, ...lines.map((line) => make('tr', null, ...line.map((value, i) => (i === 0 ? cell('th', value, i, 'row') : cell('td', value, i))))))));
    };

    // What the null makes of the count, in sentences: the count alone does not give the p-value.
    const likelihood = (p, n, k) => {
      const like = `A ${one} that was not in training would look like this or more so with probability ${probability(p)}`;
      const rarely = p < 0.01 ? ` (about ${oneIn(p)})` : '';
      if (!n) return `${like}${rarely}. `;
      if (all.null === 'ecdf') return `Counting them puts the probability of that at ${probability(p)} (${k + 1} in ${n + 1}) or less. `;
      if (all.null === 'pchip') return `Counting them, with a smooth curve between their losses, puts the probability of that at ${probability(p)}. `;
      const counted = (k + 1) / (n + 1);
      if (p >= (k === 0 ? counted : counted / 2)) return `${like}${rarely}, by the null t. `;
      return `By counting, the p-value is ${k + 1} in ${n + 1}${k === 0 ? ', the smallest that so many models can give' : ''}; the null t, which assumes normal scores, extrapolates to ${probability(p)} (about ${oneIn(p)}). `;
    };

    const sentence = (row) => {
      const parts = [];
      const loss = all.loss ? all.loss[row] : null;
      const many = all.records && all.records[row] > 1;
      if (there(loss)) {
        parts.push(many
          ? `The target’s mean loss on these ${all.records[row]} records is ${decimals(loss)}. `
          : `The target’s loss on this record is ${decimals(loss)}. `);
      }
      let [n, k] = [0, 0];
      if (all.losses && there(loss) && all.losses.outs[row] > 0) {
        [n, k] = [all.losses.outs[row], all.losses.outBelow[row]];
        const number = k === 0 ? 'none' : k === n ? 'every one' : String(k);
        parts.push(`Of ${n} models that were not trained on it, ${number} had so small a loss. `);
      }
      const verdict = verdicts[row];
      if (verdict === UNTESTED) {
        parts.push(all.selected[row]
          ? 'It could not be tested: too few reference models were trained without it.'
          : 'Not selected for testing, so no verdict was passed on it.');
        const p = all.pAll ? all.pAll[row] : null;
        if (!all.selected[row] && there(p)) {
          parts.push(` Its p-value would be ${probability(p)}, uncorrected for having looked at ${count(all.units)} ${all.unitName}.`);
        }
        return parts.join('');
      }
      parts.push(likelihood(all.p[row], n, k));
      if (all.q && there(all.q[row])) {
        parts.push(verdict === NAMED
          ? `Among all that were tested it is named as a member: its q-value, ${small(all.q[row])}, is at most the wanted rate of false discoveries, ${plain(all.fdr)}.`
          : `That is not rare enough among all that were tested: its q-value, ${small(all.q[row])}, is above the wanted rate of false discoveries, ${plain(all.fdr)}.`);
      }
      // The model gives the right answer less than even odds.
      if (verdict === NAMED && there(loss) && loss > Math.LN2) {
        parts.push(' The model is still wrong or unsure about it, but less so than models that never saw it.');
      }
      return parts.join('');
    };

    const strip = (row) => {
      const [outs, ins] = lossesOf(row);
      const loss = there(all.loss[row]) ? Math.max(all.loss[row], 1e-9) : null;
      const values = [...outs, ...ins, ...(loss === null ? [] : [loss])].filter((v) => v > 0);
      if (values.length === 0) return null;
      const width = Math.max(280, Math.min(900, evidence.clientWidth - 36 || 600));
      const [left, right, height] = [46, 18, 190];
      let low = Math.log10(Math.min(...values));
      let high = Math.log10(Math.max(...values));
      const pad = Math.max(0.08 * (high - low), 0.06);
      low -= pad;
      high += pad;
      const x = (value) => left + (width - left - right) * (Math.log10(value) - low) / (high - low);
      const line = (x1, y1, x2, y2, name) => drawn('line', { x1: x1.toFixed(1), y1, x2: x2.toFixed(1), y2, class: name });
      const describe = (list, name) => (list.length === 0 ? '' : `${name} losses from ${decimals(list[0])} to ${decimals(list[list.length - 1])}, median ${decimals(median(list))}. `);
      const svg = drawn('svg', {
        class: 'strip', viewBox: `0 0 ${width} ${height}`, role: 'img',
        'aria-label': `Losses on this ${one}, on a logarithmic scale. ${loss === null ? '' : `Target: ${decimals(loss)}. `}${describe(outs, 'OUT')}${describe(ins, 'IN')}`,
      });
      // Ticks at 1, 2 and 5 times powers of ten, or at powers only where there are many.
      const span = high - low;
      const steps = span > 3 ? [1] : span > 1.2 ? [1, 3] : [1, 1.5, 2, 3, 4, 5, 7];
      let last = -99;
      for (let power = Math.floor(low); power <= Math.ceil(high); power += 1) {
        for (const step of steps) {
          const value = step * 10 ** power;
          const at = Math.log10(value) < low || Math.log10(value) > high ? -99 : x(value);
          if (at < 0 || at - last < 52) continue;
          last = at;
          svg.append(line(at, 30, at, 148, 'axis'));
          svg.append(drawn('text', { x: at.toFixed(1), y: 165, 'text-anchor': 'middle' }, plain(value)));
        }
      }
      svg.append(drawn('text', { x: (left + width - right) / 2, y: 184, 'text-anchor': 'middle' }, 'loss (logarithmic scale)'));
      svg.append(drawn('text', { x: 0, y: 62 , class: 'strong' }, 'OUT'));
      svg.append(drawn('text', { x: 0, y: 122, class: 'strong' }, 'IN'));
      for (const value of outs) svg.append(line(x(value), 40, x(value), 76, 'out'));
      for (const value of ins) svg.append(line(x(value), 100, x(value), 136, 'in'));
      if (loss !== null) {
        const at = x(loss);
        svg.append(line(at, 24, at, 148, 'target'));
        const anchor = at < left + 50 ? 'start' : at > width - 60 ? 'end' : 'middle';
        svg.append(drawn('text', { x: at.toFixed(1), y: 17, class: 'strong', 'text-anchor': anchor }, `target ${decimals(loss)}`));
      }
      return svg;
    };
    const median = (list) => (list.length % 2 ? list[(list.length - 1) / 2] : Math.sqrt(list[list.length / 2 - 1] * list[list.length / 2]));

    const drawnOf = (sides, totals) => {
      const [outs, ins] = sides.map((side) => side.length);
      return outs === ins && totals[0] === totals[1]
        ? `${outs} of the ${totals[0]} of each kind are`
        : `${outs} of the ${totals[0]} OUT models and ${ins} of the ${totals[1]} IN models are`;
    };

    const losses = (row) => {
      if (!all.losses || all.losses.outs[row] + all.losses.ins[row] === 0) return [];
      const svg = strip(row);
      if (!svg) return [];
      const sides = lossesOf(row);
      const lines = [['OUT', 'not trained on it', all.losses.outs[row], all.losses.outBelow[row]], ['IN', 'trained on it', all.losses.ins[row], all.losses.inBelow[row]]]
        .map(([name, what, n, below], i) => {
          const list = sides[i];
          const at = (value) => (list.length && there(value) ? decimals(value) : '');
          return [`${name}: ${what}`, count(n), at(list[0]), list.length ? at(median(list)) : '', at(list[list.length - 1]), n && there(all.loss[row]) ? `${below} of ${n}` : ''];
        });
      const partly = sides[0].length < all.losses.outs[row] || sides[1].length < all.losses.ins[row];
      return [
        make('h3', null, 'How models with and without it answer'),
        make('p', { class: 'muted' }, `Each stroke is the loss of a reference model of the testing half: above those that were not trained on this ${one} (OUT), below those that were (IN).${partly ? ` ${drawnOf(sides, [all.losses.outs[row], all.losses.ins[row]])} drawn, evenly chosen by their losses, the smallest and the largest among them.` : ''} If the target’s mark lies among the OUT models, the ${one} hides in the crowd.`),
        svg,
        tableOf('Losses of reference models', [{ text: 'Reference models' }, { text: 'Number' }, { text: 'Smallest loss' }, { text: 'Median' }, { text: 'Largest' }, { text: 'With a loss up to the target’s' }], lines),
      ];
    };

    // The share of sorted values below x, from 21 quantiles.
    const below = (quantiles, x) => {
      const last = quantiles.length - 1;
      let i = -1;
      while (i < last && quantiles[i + 1] < x) i += 1;
      if (i < 0) return 0;
      if (i >= last) return 1;
      return (i + (x - quantiles[i]) / (quantiles[i + 1] - quantiles[i])) / last;
    };

    const feature = (c, at, code) => {
      const value = c.values[at];
      const whole = c.typical.length === 1;
      const t = c.typical[whole ? 0 : code];
      if (!t) return null;
      const among = whole && all.classes.length > 1 ? 'of all records' : 'of its class';
      const total = t.present + t.missing;
      if (!there(value)) {
        const share = total ? t.missing / total : 0;
        return { rare: share, name: c.name, value: make('span', { class: 'none' }, 'missing'), usual: usual(c, t), how: `missing in ${percent(share)} ${among}` };
      }
      if (c.levels) {
        let n = 0;
        for (let i = 0; i < t.counts.length; i += 2) if (t.counts[i] === value) n = t.counts[i + 1];
        const share = total ? n / total : 0;
        return { rare: share, name: c.name, value: data(c.levels[value]), usual: usual(c, t), how: `${percent(share)} ${among}` };
      }
      const q = t.quantiles;
      if (!q.length) return null;
      const lower = below(q, value);
      const upper = below(q.map((v) => -v).reverse(), -value);
      // The share at least as far out, on the nearer side.
      const tail = Math.max(Math.min(1 - lower, 1 - upper), 1 / Math.max(1, t.present));
      let how;
      if (q[0] === q[20]) how = `all ${among} have it`;
      else if (tail > 0.2) how = 'usual';
      else if (1 - lower < 1 - upper) how = value >= q[20] ? `the largest ${among}` : `among the largest ${percent(tail)} ${among}`;
      else how = value <= q[0] ? `the smallest ${among}` : `among the smallest ${percent(tail)} ${among}`;
      return { rare: tail, name: c.name, value: plain(value), usual: usual(c, t), how };
    };
    const usual = (c, t) => {
      if (c.levels) {
        let [best, most] = [null, 0];
        for (let i = 0; i < t.counts.length; i += 2) if (t.counts[i + 1] > most) [best, most] = [t.counts[i], t.counts[i + 1]];
        return best === null ? '' : make('span', null, data(c.levels[best]), ` (${percent(most / (t.present + t.missing))})`);
      }
      const q = t.quantiles;
      return q.length ? `${plain(q[10])} (${plain(q[1])} to ${plain(q[19])})` : '';
    };

    const features = (row) => {
      const f = all.features;
      if (!f) return [];
      const at = f.rows ? f.rows.indexOf(row) : row;
      if (at < 0) return [make('h3', null, 'What it holds'), make('p', { class: 'muted' }, 'There was no room on the page for what this record holds; the run directory has it (data.parquet).')];
      const code = all.class[row];
      const list = f.columns.map((c) => feature(c, at, code)).filter((x) => x !== null);
      list.sort((a, b) => a.rare - b.rare);
      const MOST = 15;
      const place = make('div');
      const show = (lines) => {
        place.replaceChildren(tableOf('Features',
          [{ text: 'Feature' }, { text: 'This record', words: true }, { text: 'Usual in its class', words: true }, { text: 'How unusual', words: true }],
          lines.map((x) => [data(x.name), x.value, x.usual, x.how])));
      };
      show(list.slice(0, MOST));
      if (list.length > MOST) {
        const more = make('button', { type: 'button' }, `Show all ${count(list.length)} features`);
        more.addEventListener('click', () => {
          show(list);
          place.firstElementChild.focus();
        });
        place.append(more);
      }
      const first = all.records && all.records[row] > 1 ? 'The first of its records, the' : 'The';
      return [
        make('h3', null, 'What it holds'),
        make('p', { class: 'muted' }, `${first} most unusual features first. Usual: of numbers the median, and the range that the middle 90 % lie in; of categories the commonest, and its share.`),
        place,
      ];
    };

    const picture = (start, label) => {
      const { height, width, channels } = all.images;
      const canvas = make('canvas', { width, height, role: 'img', 'aria-label': label });
      const context = canvas.getContext('2d');
      const image = context.createImageData(width, height);
      for (let i = 0; i < width * height; i += 1) {
        const pixel = all.bytes.subarray(start + i * channels, start + (i + 1) * channels);
        for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = channels >= 3 ? pixel[c] : pixel[0];
        image.data[4 * i + 3] = channels === 4 ? pixel[3] : 255;
      }
      context.putImageData(image, 0, 0);
      return make('figure', null, canvas, make('figcaption', null, label));
    };
    // Beside each record that was tested indirectly, the questions that were asked instead of it.
    if (all.queries && all.images) {
      const size = all.images.height * all.images.width * all.images.channels;
      let at = all.queries.at;
      for (const [place, own, number] of all.queries.records) {
        const here = document.querySelector(`[data-indirect="${place}"]`);
        for (let i = 0; i < own + number; i += 1, at += size) {
          if (here) here.append(picture(at, i < own ? `The ${one}` : `Question ${i - own + 1}`));
        }
      }
    }
    // What networks look at: the image, and bright in it what speaks for its class.
    const heats = [];
    if (all.activations && all.images) {
      const size = all.images.height * all.images.width * all.images.channels;
      let at = all.activations.at;
      for (const [role, code, row, rank, distance, rows, columns] of all.activations.list) {
        heats.push({ role, code, row, rank, distance, rows, columns, image: at, map: at + size });
        at += size + rows * columns;
      }
    }
    const heated = (heat, label) => {
      const { height, width, channels } = all.images;
      const canvas = make('canvas', { width, height, role: 'img', 'aria-label': label });
      const context = canvas.getContext('2d');
      const image = context.createImageData(width, height);
      for (let i = 0; i < width * height; i += 1) {
        const pixel = all.bytes.subarray(heat.image + i * channels, heat.image + (i + 1) * channels);
        const grey = channels >= 3 ? 0.3 * pixel[0] + 0.59 * pixel[1] + 0.11 * pixel[2] : pixel[0];
        // The nearest place of the map, which may have fewer than the image.
        const y = Math.floor((Math.floor(i / width) + 0.5) * heat.rows / height);
        const x = Math.floor((i % width + 0.5) * heat.columns / width);
        const share = all.bytes[heat.map + y * heat.columns + x] / 255;
        // The image is darkened and what counts is lit: told apart by brightness alone, too.
        const tint = [255, 140 + 70 * share, 0];
        for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = (1 - 0.75 * share) * grey * 0.6 + 0.75 * share * tint[c];
        image.data[4 * i + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      return canvas;
    };
    const pair = (heat, caption) => {
      const seen = picture(heat.image, 'the image').firstElementChild;
      const line = make('div', { class: 'pair' }, seen, heated(heat, 'what speaks for its class, bright'));
      return make('figure', null, line, make('figcaption', null, ...caption));
    };
    for (const place of document.querySelectorAll('[data-heats]')) {
      const own = heats.filter((heat) => heat.role < 2 && heat.code === Number(place.dataset.heats));
      own.sort((a, b) => a.role - b.role || a.rank - b.rank);
      for (const heat of own) {
        const words = `${heat.role === 0 ? 'closest' : 'farthest'}${there(heat.distance) ? `, distance ${plain(heat.distance)}` : ''}`;
        place.append(pair(heat, heat.row === null ? [words] : [words, ': ', make('a', { href: hashOf(heat.row) }, data(all.id[heat.row]))]));
      }
    }

    const images = (row) => {
      const f = all.images;
      if (!f) return [];
      const size = f.height * f.width * f.channels;
      const [at, mean] = [f.rows.indexOf(row), f.means.indexOf(all.class[row])];
      const pictures = [];
      if (at >= 0) pictures.push(picture(f.at + at * size, 'This image'));
      const heat = heats.find((one) => one.row === row);
      if (heat) pictures.push(make('figure', null, heated(heat, 'What speaks for its class, bright'), make('figcaption', null, 'What speaks for its class, bright (Grad-CAM)')));
      if (mean >= 0) pictures.push(picture(f.at + (f.rows.length + mean) * size, 'The mean image of its class'));
      return [
        make('h3', null, 'What it shows'),
        at < 0 ? make('p', { class: 'muted' }, 'There was no room on the page for this image; the run directory has it (data.parquet).') : null,
        make('div', { class: 'pictures' }, ...pictures),
        f.scale ? make('p', { class: 'muted' }, `Black is ${plain(f.scale[0])}, white ${plain(f.scale[1])}.`) : null,
      ];
    };

    const neighbours = (row) => {
      const list = all.neighbours ? all.neighbours[row] : [];
      if (!list || !list.length) return [];
      const lines = list.map(([who, code, distance, elsewhere]) => [
        typeof who === 'number' ? make('a', { href: hashOf(who) }, data(all.id[who])) : elsewhere ? make('span', null, data(who), ' (reference file)') : data(who),
        there(code) ? data(all.classes[code]) : '',
        there(distance) ? plain(distance) : '',
      ]);
      return [
        make('h3', null, 'Nearest neighbours'),
        make('p', { class: 'muted' }, `Records, of any class, to which the reference models of the selecting half answer most alike; the distance is the cosine distance of their logits, from 0 (alike) to 2.${there(all.alpha) ? ` Nearer than ${all.alpha.toPrecision(3)} counts as a neighbour.` : ''} A record with few neighbours has no crowd to hide in. Where there are few classes, most have thousands, and the number says little; look then at the classes of the nearest.`),
        tableOf('Nearest neighbours', [{ text: 'Record' }, { text: 'Class', words: true }, { text: 'Distance' }], lines),
      ];
    };

    // Why it is exposed, as the explanation of the run says.
    const whyOf = new Map((all.why || []).map((why) => [why.row, why]));
    const why = (row) => {
      const told = whyOf.get(row);
      const reason = told ? told.reason : all.reason && there(all.reason[row]) ? all.reasons[all.reason[row]] : null;
      if (reason === null) return [];
      const parts = [make('h3', null, told ? 'Why it is exposed' : 'Why it would be exposed')];
      parts.push(make('p', null, make('strong', null, data(reason)), ...(told && told.further.length ? ['; also ', ...told.further.flatMap((more, i) => [i ? ', ' : '', data(more)])] : [])));
      if (told && told.statement) parts.push(make('p', null, data(told.statement)));
      if (all.leak && there(all.leak[row])) {
        const rank = all.leakRank ? all.leakRank[row] : null;
        parts.push(make('p', { class: 'muted' }, `Leak: ${decimals(all.leak[row])} nats${there(rank) ? `, rank ${count(rank)} of ${count(all.units)} ${all.unitName}` : ''}. Training on it changes the model’s loss on it by so much.`));
      }
      if (told && told.columns) {
        const list = [...told.columns, [null, null, told.others]];
        const most = Math.max(...list.map((share) => Math.abs(share[2])), 1e-9);
        const low = Math.min(0, ...list.map((share) => share[2])) / most;
        const span = 1 - low;
        const terms = list.flatMap(([name, value, nats]) => {
          const bar = make('i', nats < 0 ? { class: 'less' } : null);
          bar.style.left = `${100 * ((Math.min(0, nats / most)) - low) / span}%`;
          bar.style.width = `${100 * Math.abs(nats / most) / span}%`;
          const label = name === null ? ['all other columns'] : there(value) ? [data(name), ' = ', data(value)] : [data(name)];
          return [make('dt', null, ...label), make('dd', null, make('span', { class: 'bar-field', 'aria-hidden': 'true' }, bar), make('span', { class: 'number' }, `${nats > 0 ? '+' : nats < 0 ? '−' : ''}${Math.abs(nats).toFixed(2)}`))];
        });
        parts.push(
          make('p', { class: 'muted' }, `What in it makes it leak, in nats: shares of the difference between its leak in the models looked into (${decimals(told.gap)}) and that of the mean record of its class (${decimals(told.base)}); ${plain(Math.abs(told.residual))} is missed.`),
          make('dl', { class: 'shares' }, ...terms),
        );
      }
      return parts;
    };

    const attacks = (row) => {
      // A redacted page says nothing of single attacks.
      if (all.redacted) return [];
      const lines = [];
      const tested = verdicts[row] !== UNTESTED;
      const p = tested ? all.p[row] : all.pAll && all.pAll[row];
      const recurrence = (a, b, c, d) => (there(a) && b ? `${a} of ${b}` : '');
      const has = (key) => all.attacks.some((attack) => attack[key]);
      const head = [{ text: 'Attack' }];
      if (has('score')) head.push({ text: 'Score' }, { text: 'Rank among all scored' });
      head.push({ text: 'P-value' });
      if (all.attacks.length) head.push({ text: 'Among its first 1 %' });
      if (has('named')) head.push({ text: 'Named by disjoint sets of models' });
      if (has('found')) head.push({ text: 'Found in IN models' }, { text: 'Accused in OUT models' });
      const get = (list) => (list ? list[row] : null);
      const own = [make('strong', null, 'direct inference')];
      if (has('score')) own.push('', '');
      own.push(there(p) ? `${small(p)}${tested ? '' : ' (not tested, uncorrected)'}` : '');
      if (all.attacks.length) own.push('');
      if (has('named')) own.push('');
      if (has('found')) own.push(recurrence(get(all.found), get(all.inTargets)), recurrence(get(all.accused), get(all.outTargets)));
      lines.push(own);
      for (const attack of all.attacks) {
        const line = [attack.name];
        if (has('score')) {
          line.push(there(get(attack.score)) ? decimals(attack.score[row]) : '', there(get(attack.rank)) ? `${count(attack.rank[row])} of ${count(attack.scored)}` : '');
        }
        line.push(there(get(attack.p)) ? small(attack.p[row]) : '', truth(get(attack.first)));
        if (has('named')) line.push(there(get(attack.named)) && attack.sets ? `${attack.named[row]} of ${attack.sets}` : '');
        if (has('found')) line.push(recurrence(get(attack.found), get(all.playedIn)), recurrence(get(attack.accused), get(all.playedOut)));
        lines.push(line);
      }
      if (lines.length === 1 && !there(p)) return [];
      return [
        make('h3', null, 'What each attack says'),
        make('p', { class: 'muted' }, `The higher the score, the more it looks like a member. Direct inference is the test above${has('found') ? '; found and accused: how often it is named when reference models play the target, among those trained on it (IN) and not (OUT)' : ''}.`),
        tableOf('Attacks', head, lines),
      ];
    };

    const render = (row) => {
      state.at = row;
      find('record-title').replaceChildren(`${one === 'group' ? 'Group of record' : 'Record'} `, data(all.id[row]));
      const tags = [make('span', { class: 'tag' }, 'class: ', data(className(row)))];
      if (all.group && there(all.group[row])) tags.push(make('span', { class: 'tag' }, 'group: ', data(all.group[row])));
      if (all.records && all.records[row] > 1) tags.push(make('span', { class: 'tag' }, `${all.records[row]} records judged together`));
      tags.push(make('span', { class: verdicts[row] === NAMED ? 'tag flag' : 'tag' }, inWords[verdicts[row]]));
      if (all.member && there(all.member[row])) tags.push(make('span', { class: 'tag' }, all.member[row] ? 'was in the training data' : 'was not in the training data'));
      evidence.replaceChildren(...[
        make('p', null, ...tags),
        make('p', null, sentence(row)),
        ...why(row),
        ...losses(row),
        ...images(row),
        ...features(row),
        ...neighbours(row),
        ...attacks(row),
      ].filter((part) => part !== null));
      const place = state.view.indexOf(row);
      find('record-previous').disabled = place <= 0;
      find('record-next').disabled = place < 0 || place + 1 >= state.view.length;
    };

    // Where the table was scrolled to; giving the focus back must not move it.
    let sideways = 0;
    const open = (row) => {
      // Shown first: the width of the plot is that of the dialog.
      if (!dialog.open) {
        sideways = table.parentElement.scrollLeft;
        dialog.showModal();
        find('record-title').focus();
      }
      render(row);
      dialog.scrollTop = 0;
    };
    const forget = () => {
      if (!location.hash.startsWith('#record-')) return;
      try {
        history.replaceState(null, '', location.pathname + location.search);
      } catch {
        location.hash = '#records';
      }
    };
    const move = (step) => {
      const place = state.view.indexOf(state.at) + step;
      if (place < 0 || place >= state.view.length || state.view.indexOf(state.at) < 0) return;
      const row = state.view[place];
      try {
        history.replaceState(null, '', hashOf(row));
      } catch {
        // The address stays; the record is shown all the same.
      }
      const [page, old] = [Math.floor(place / PAGE), state.page];
      state.page = page;
      if (page !== old) fill();
      open(row);
      // A button that can go no further loses the focus.
      if (document.activeElement === document.body || document.activeElement.disabled) find('record-title').focus();
    };
    const follow = () => {
      if (!location.hash.startsWith('#record-')) {
        if (dialog.open) dialog.close();
        return;
      }
      let id;
      try {
        id = decodeURIComponent(location.hash.slice('#record-'.length));
      } catch {
        return;
      }
      const row = rowOf.get(id);
      if (row === undefined) {
        find('records-status').textContent = 'That record has no row on this page.';
        section.scrollIntoView();
        return;
      }
      open(row);
    };

    dialog.addEventListener('close', () => {
      forget();
      const link = body.querySelector(`tr[data-row="${state.at}"] a`);
      if (link) link.focus({ preventScroll: true });
      table.parentElement.scrollLeft = sideways;
    });
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener('keydown', (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (event.target.closest && event.target.closest('.scroll')) return;
      if (event.key === 'ArrowRight') move(1);
      else if (event.key === 'ArrowLeft') move(-1);
    });
    find('record-close').addEventListener('click', () => dialog.close());
    find('record-previous').addEventListener('click', () => move(-1));
    find('record-next').addEventListener('click', () => move(1));
    body.addEventListener('click', (event) => {
      const line = event.target.closest('tr[data-row]');
      if (line && !event.target.closest('a') && !String(getSelection())) location.hash = hashOf(Number(line.dataset.row));
    });
    const turn = (step) => {
      state.page += step;
      fill();
      table.parentElement.scrollIntoView({ block: 'nearest' });
    };
    find('records-previous').addEventListener('click', () => turn(-1));
    find('records-next').addEventListener('click', () => turn(1));
    for (const control of [filters.flagged, filters.class, filters.attack]) {
      if (control) control.addEventListener('change', refresh);
    }
    filters.text.addEventListener('input', refresh);
    window.addEventListener('hashchange', follow);
    // Links elsewhere on the page that show a part of the table.
    document.addEventListener('click', (event) => {
      const link = event.target.closest ? event.target.closest('a[data-show]') : null;
      if (!link || !(link.dataset.show in among)) return;
      for (const control of [filters.class, filters.attack, filters.text]) if (control) control.value = '';
      filters.flagged.value = link.dataset.show;
      refresh();
    });

    // Who rests on a point of the map sees what it is.
    const tip = make('div', { class: 'map-tip', 'aria-hidden': 'true' });
    tip.hidden = true;
    document.body.append(tip);
    for (const link of document.querySelectorAll('.map a.dot')) {
      // What the tip says, the link's name says, too; the browser's own tip would cover it.
      const title = link.querySelector('title');
      if (title) title.remove();
      const shown = () => {
        let row;
        try {
          row = rowOf.get(decodeURIComponent(link.getAttribute('href').slice('#record-'.length)));
        } catch {
          row = undefined;
        }
        tip.replaceChildren(data(link.getAttribute('aria-label')));
        const at = all.images && row !== undefined ? all.images.rows.indexOf(row) : -1;
        if (at >= 0) tip.append(picture(all.images.at + at * all.images.height * all.images.width * all.images.channels, ''));
        tip.hidden = false;
        const box = link.getBoundingClientRect();
        const right = box.right + tip.offsetWidth + 12 > document.documentElement.clientWidth;
        tip.style.left = `${Math.max(4, scrollX + (right ? box.left - tip.offsetWidth - 8 : box.right + 8))}px`;
        tip.style.top = `${scrollY + box.top - 8}px`;
      };
      const hidden = () => { tip.hidden = true; };
      link.addEventListener('mouseenter', shown);
      link.addEventListener('focus', shown);
      link.addEventListener('mouseleave', hidden);
      link.addEventListener('blur', hidden);
      link.addEventListener('click', hidden);
    }

    headings();
    refresh();
    // The anchors of the static table would shadow the links to records.
    for (const line of section.querySelectorAll('.exposed tr[id]')) line.removeAttribute('id');
    section.classList.add('ready');
    follow();
  };

  decode().then(start).catch((error) => {
    problem(`The table of all records could not be unpacked (${error.message}). The most exposed are below.`);
  });
})();
