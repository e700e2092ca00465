// The two charts, the markers on them, and what keeps both up to date.
'use strict';

(() => {
  const box = document.getElementById('charts');
  if (!box || !globalThis.uPlot) return;
  const form = document.getElementById('filters');
  const lane = document.getElementById('lane');
  const tip = document.getElementById('tip');
  const problem = document.getElementById('problem');
  const types = box.dataset.types.split(' ');
  const [SID, TYPE, START, END, NAME, PLACE, OUTCOME, SOURCE] = [0, 1, 2, 3, 4, 5, 6, 7];

  const POLL = 2000;
  const FIGURES = 5000;
  const HEIGHT = 150;
  const AXIS = 54;
  const APART = 17;           // pixels between two flags
  const MOST_NAMED = 12;
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [4, 4]];  // by type, so that lines differ without colour

  let css = {};
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ['line', 'quiet', 'ink', 'series', 'fill', 'panel', ...types]) css[name] = style.getPropertyValue(`--${name}`);
  };
  readColours();

  // ── What is drawn ────────────────────────────────────────────────────────
  let marks = [];             // rows of markers.json, by their starts
  let longest = 0;            // of the spans, in milliseconds
  let shown = { from: 0, to: 1 };   // milliseconds
  let live = true;
  let per = 1;                // requests per second, or per minute if there are few
  let plots = [];
  let stack = [];             // periods to go back to
  let clusters = [];

  const seconds = (value) => (value == null ? '–' : value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2));
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    return `${+value.toPrecision(4)}`;
  };
  const millis = (value) => (value >= 1000 ? `${+(value / 1000).toPrecision(3)} s` : `${+value.toPrecision(3)} ms`);

  function ticks(_plot, splits, _axis, _space, step) {
    let before = '';
    return splits.map((at) => {
      const date = new Date(at * 1000);
      const day = page.day(date);
      const time = step >= 60 ? `${page.two(date.getHours())}:${page.two(date.getMinutes())}` : page.clock(date);
      const text = step >= 86400 ? day : day === before ? time : `${time}\n${day}`;
      before = day;
      return text;
    });
  }

  function chart(element, format, isLast, isFilled) {
    const stroke = () => css.quiet;
    const grid = { stroke: () => css.line, width: 1 };
    const options = {
      width: element.clientWidth,
      height: isLast ? HEIGHT + 32 : HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        sync: { key: 'charts' },
        drag: { x: true, y: false, setScale: false, dist: 6 },
        bind: {
          dblclick: () => () => { back(); return null; },
          mousedown: (plot, _target, handler) => (event) => (event.shiftKey ? pan(plot, event) : handler(event)),
        },
        points: { size: 6 },
      },
      scales: {
        x: { time: true, range: () => [shown.from / 1000, shown.to / 1000] },
        y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.12 : 1] },
      },
      axes: [
        { stroke, grid, ticks: { show: isLast, stroke: () => css.line, size: 5 }, values: isLast ? ticks : () => [], size: isLast ? 38 : 6, space: 76, font: '11px system-ui, sans-serif', gap: 4 },
        { stroke, grid, ticks: { show: false }, size: AXIS, space: 34, values: (_plot, splits) => splits.map(format), font: '11px system-ui, sans-serif' },
      ],
      series: [
        {},
        { stroke: () => css.series, width: 1.5, fill: isFilled ? () => css.fill : undefined, spanGaps: !isFilled, points: { show: isFilled ? false : undefined, size: 4, fill: () => css.series } },
      ],
      hooks: { drawClear: [bands], draw: [lines], setSelect: [zoom], setCursor: [] },
    };
    if (isFilled) options.series[1].paths = uPlot.paths.stepped({ align: 1 });
    return new uPlot(options, [[], []], element);
  }

  function firstFrom(moment) {
    let low = 0, high = marks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (marks[middle][START] < moment) low = middle + 1; else high = middle;
    }
    return low;
  }

  // Spans of one type that overlap are one band: its colour says that something was going on, not how much.
  function spans() {
    const until = Math.min(Date.now(), shown.to);
    const found = types.map(() => []);
    for (let index = firstFrom(shown.from - longest); index < marks.length; index++) {
      const mark = marks[index];
      if (mark[START] > shown.to) break;
      const end = mark[END] ?? until;
      if (end === mark[START] || end < shown.from) continue;
      const last = found[mark[TYPE]].at(-1);
      if (last && mark[START] <= last[1]) last[1] = Math.max(last[1], end);
      else found[mark[TYPE]].push([mark[START], end]);
    }
    return found;
  }

  function bands(plot) {
    const { ctx, bbox } = plot;
    const thick = 3 * (devicePixelRatio || 1);
    ctx.save();
    spans().forEach((of, type) => {
      ctx.fillStyle = css[types[type]];
      for (const [start, end] of of) {
        const left = Math.max(bbox.left, plot.valToPos(start / 1000, 'x', true));
        const right = Math.min(bbox.left + bbox.width, plot.valToPos(end / 1000, 'x', true));
        const width = Math.max(1, right - left);
        ctx.globalAlpha = 0.09;
        ctx.fillRect(left, bbox.top, width, bbox.height);
        ctx.globalAlpha = 0.7;
        ctx.fillRect(left, bbox.top, width, thick);
      }
    });
    ctx.restore();
  }

  function lines(plot) {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = ratio;
    for (const cluster of clusters) {
      const mark = cluster.worst;
      ctx.strokeStyle = css[types[mark[TYPE]]];
      ctx.setLineDash(DASHES[mark[TYPE]].map((size) => size * ratio));
      ctx.globalAlpha = 0.85;
      const at = Math.round(plot.valToPos(cluster.at / 1000, 'x', true)) + 0.5;
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  // ── Flags ────────────────────────────────────────────────────────────────
  const rank = (mark) => (mark[TYPE] === 1 ? 4 : 0) + (mark[OUTCOME] === 'failed' || mark[OUTCOME] === 'open' ? 2 : 0) + (mark[TYPE] === 0 ? 1 : 0);

  function group() {
    clusters = [];
    if (!plots.length) return;
    const width = plots[0].over.clientWidth;
    const scale = width / (shown.to - shown.from);
    let last = null;
    for (let index = firstFrom(shown.from); index < marks.length; index++) {
      const mark = marks[index];
      if (mark[START] > shown.to) break;
      const x = (mark[START] - shown.from) * scale;
      if (last && x - last.x < APART) {
        last.marks.push(mark);
        if (rank(mark) > rank(last.worst)) last.worst = mark;
      } else {
        last = { x, at: mark[START], marks: [mark], worst: mark };
        clusters.push(last);
      }
    }
  }

  const svg = (name) => {
    const picture = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
    picture.setAttribute('aria-hidden', 'true');
    use.setAttribute('href', `#${name}`);
    picture.append(use);
    return picture;
  };

  const address = (mark) => box.dataset.event.replace('SID', encodeURIComponent(mark[SID]));
  const inWords = (mark) => [types[mark[TYPE]].replace('_', ' '), mark[NAME], mark[PLACE], mark[OUTCOME], page.moment(new Date(mark[START]))].filter(Boolean).join(', ');

  function flags() {
    const focused = document.activeElement?.closest('.flag')?.dataset.key;
    const offset = AXIS;
    const made = clusters.map((cluster, index) => {
      const isOne = cluster.marks.length === 1;
      const flag = lane.children[index] ?? document.createElement('a');
      const key = `${cluster.marks[0][SID]} ${cluster.marks.length} ${cluster.worst[OUTCOME]} ${cluster.worst[NAME]}`;
      if (flag.dataset.key !== key) {
        flag.dataset.key = key;
        flag.className = `flag t-${types[cluster.worst[TYPE]]}${isOne ? '' : ' many'}${cluster.worst[OUTCOME] === 'failed' ? ' failed' : ''}`;
        flag.replaceChildren(isOne ? svg(cluster.worst[OUTCOME] === 'failed' ? 's-failed' : `t-${types[cluster.worst[TYPE]]}`) : String(cluster.marks.length));
        if (isOne) { flag.href = address(cluster.worst); flag.removeAttribute('role'); } else { flag.removeAttribute('href'); flag.setAttribute('role', 'button'); }
        flag.setAttribute('aria-label', isOne ? inWords(cluster.worst) : `${cluster.marks.length} events: ${cluster.marks.slice(0, 3).map((mark) => mark[NAME]).join('; ')}`);
      }
      flag.cluster = cluster;
      flag.tabIndex = -1;
      flag.style.transform = `translateX(${Math.round(cluster.x + offset)}px)`;
      return flag;
    });
    while (lane.children.length > made.length) lane.lastElementChild.remove();
    for (const flag of made) if (!flag.isConnected) lane.append(flag);
    const again = made.find((flag) => flag.dataset.key === focused);
    (again ?? made.at(-1))?.setAttribute('tabindex', '0');
    if (again && document.activeElement !== again) again.focus({ preventScroll: true });
  }

  function describe(mark) {
    const until = mark[END] ?? Date.now();
    const parts = [page.moment(new Date(mark[START]))];
    if (until > mark[START]) parts.push(`${mark[END] == null ? 'for' : 'lasted'} ${page.lasted((until - mark[START]) / 1000)}`);
    return [...parts, mark[PLACE], mark[OUTCOME], mark[SOURCE]].filter(Boolean).join(' · ');
  }

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  function explain(flag, isOpen = false) {
    const { marks: found } = flag.cluster;
    const title = element('p');
    if (found.length === 1) {
      const [mark] = found;
      const kind = element('span', '', `type t-${types[mark[TYPE]]}`);
      kind.append(svg(`t-${types[mark[TYPE]]}`), types[mark[TYPE]].replace('_', ' '));
      title.append(kind);
      const name = element('p');
      name.append(element('b', mark[NAME]));
      tip.replaceChildren(name, element('p', describe(mark), 'quiet'), title);
    } else {
      title.append(element('b', `${found.length} events`), ` within ${page.lasted((found.at(-1)[START] - found[0][START]) / 1000)}`);
      const list = element('ul');
      for (const mark of found.slice(-MOST_NAMED).reverse()) {
        const item = element('li', '', `t-${types[mark[TYPE]]}`);
        const kind = element('span', '', `type t-${types[mark[TYPE]]}`);
        kind.append(svg(`t-${types[mark[TYPE]]}`));
        const link = element(isOpen ? 'a' : 'span', mark[NAME]);
        if (isOpen) link.href = address(mark);
        item.append(kind, element('span', page.clock(new Date(mark[START])), 'quiet clock'), link);
        list.append(item);
      }
      tip.replaceChildren(title, list);
      if (found.length > MOST_NAMED) tip.append(element('p', `and ${found.length - MOST_NAMED} more`, 'quiet'));
      if (isOpen && found.at(-1)[START] - found[0][START] > 10000) {
        const closer = element('button', 'Zoom to these');
        closer.type = 'button';
        const room = (found.at(-1)[START] - found[0][START]) * 0.15 + 5000;
        closer.addEventListener('click', () => { hide(); goTo(found[0][START] - room, found.at(-1)[START] + room); });
        tip.append(closer);
      }
    }
    tip.classList.toggle('open', isOpen);
    tip.hidden = false;
    const area = box.getBoundingClientRect(), place = flag.getBoundingClientRect();
    const left = Math.min(Math.max(8, place.left - area.left - 20), area.width - tip.offsetWidth - 8);
    tip.style.left = `${left}px`;
    tip.style.top = `${place.bottom - area.top + 6}px`;
    flag.setAttribute('aria-describedby', 'tip');
  }

  function hide() {
    tip.hidden = true;
    tip.classList.remove('open');
  }

  const flagOf = (event) => event.target.closest?.('.flag');
  lane.addEventListener('mouseover', (event) => { if (flagOf(event) && !tip.classList.contains('open')) explain(flagOf(event)); });
  lane.addEventListener('mouseout', () => { if (!tip.classList.contains('open')) hide(); });
  lane.addEventListener('focusin', (event) => { if (flagOf(event)) explain(flagOf(event)); });
  lane.addEventListener('focusout', (event) => { if (!tip.contains(event.relatedTarget) && !tip.classList.contains('open')) hide(); });
  lane.addEventListener('click', (event) => {
    const flag = flagOf(event);
    if (flag && flag.cluster.marks.length > 1) { event.preventDefault(); explain(flag, true); tip.querySelector('a')?.focus(); }
  });
  lane.addEventListener('keydown', (event) => {
    const flag = flagOf(event);
    if (!flag) return;
    const all = [...lane.children];
    const to = { ArrowLeft: all.indexOf(flag) - 1, ArrowRight: all.indexOf(flag) + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined && all[to]) {
      event.preventDefault();
      flag.tabIndex = -1;
      all[to].tabIndex = 0;
      all[to].focus();
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      flag.click();
    }
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !tip.hidden) {
      hide();
      if (!lane.contains(document.activeElement)) lane.querySelector('[tabindex="0"]')?.focus();
      hide();
    }
  });
  document.addEventListener('pointerdown', (event) => { if (!tip.contains(event.target) && !lane.contains(event.target)) hide(); });

  // ── Moving in time ───────────────────────────────────────────────────────
  let waiting = 0;
  function draw() {
    if (waiting) return;
    waiting = requestAnimationFrame(() => {
      const began = performance.now();
      waiting = 0;
      group();
      for (const plot of plots) plot.batch(() => { plot.setScale('x', { min: shown.from / 1000, max: shown.to / 1000 }); plot.redraw(false); });
      flags();
      performance.clearMeasures('frame');
      performance.measure('frame', { start: began });
    });
  }

  function pick(from, to) {
    for (const radio of form.elements.range) radio.checked = false;
    form.elements.from.value = new Date(from).toISOString();
    form.elements.to.value = new Date(to).toISOString();
    live = false;
  }

  function goTo(from, to) {
    stack.push(period());
    pick(from, to);
    shown = { from, to };
    draw();
    ask();
  }

  const period = () => ({ range: form.elements.range.value, from: form.elements.from.value, to: form.elements.to.value });
  const ask = () => form.dispatchEvent(new Event('refresh'));

  function zoom(plot) {
    const { left, width } = plot.select;
    if (width < 6) return;
    const from = plot.posToVal(left, 'x') * 1000, to = plot.posToVal(left + width, 'x') * 1000;
    for (const one of plots) one.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (to - from >= 10000) goTo(from, to);
  }

  function back() {
    const before = stack.pop() ?? { range: form.elements.range.value || box.dataset.range, from: '', to: '' };
    for (const radio of form.elements.range) radio.checked = radio.value === before.range;
    form.elements.from.value = before.range ? '' : before.from;
    form.elements.to.value = before.range ? '' : before.to;
    ask();
  }

  let settling = 0;
  function shift(milliseconds) {
    shown = { from: shown.from + milliseconds, to: shown.to + milliseconds };
    live = false;
    draw();
    clearTimeout(settling);
    settling = setTimeout(() => { pick(shown.from, shown.to); ask(); }, 300);
  }

  function pan(plot, event) {
    const per = (shown.to - shown.from) / plot.over.clientWidth;
    let last = event.clientX;
    const move = (moved) => { shift((last - moved.clientX) * per); last = moved.clientX; };
    const stop = () => { removeEventListener('pointermove', move); removeEventListener('pointerup', stop); };
    addEventListener('pointermove', move);
    addEventListener('pointerup', stop);
    return null;
  }

  box.addEventListener('wheel', (event) => {
    if (Math.abs(event.deltaX) <= Math.abs(event.deltaY) || !plots.length) return;
    event.preventDefault();
    shift((event.deltaX * (shown.to - shown.from)) / plots[0].over.clientWidth);
  }, { passive: false });

  // ── Reading ──────────────────────────────────────────────────────────────
  const query = () => {
    const pairs = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...pairs]) if (!value || name === 'push') pairs.delete(name, value);
    if (pairs.has('range')) { pairs.delete('from'); pairs.delete('to'); }
    return pairs.toString();
  };

  let tag = '', asked = '', failures = 0;
  async function readMarkers() {
    const wanted = query();
    const answer = await fetch(`${box.dataset.markers}?${wanted}`, { headers: { Accept: 'application/json' }, cache: 'no-cache' });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const isSame = answer.headers.get('ETag') === tag && wanted === asked;
    const content = await answer.json();
    if (wanted !== query()) return;   // somebody has chosen something else meanwhile
    live = content.live;
    // A period that ends now moves on, also if nothing else has changed.
    shown = live ? { from: Date.now() - (content.to - content.from), to: Date.now() } : { from: content.from, to: content.to };
    if (!isSame) {
      marks = content.markers.sort((one, other) => one[START] - other[START]);
      longest = marks.reduce((most, mark) => Math.max(most, (mark[END] ?? Date.now()) - mark[START]), 0);
      if (asked === wanted) htmx.trigger('#live-table', 'changed');
    }
    [tag, asked] = [answer.headers.get('ETag'), wanted];
    say(content.problem);
    draw();
  }

  async function readFigures() {
    const answer = await fetch(`${box.dataset.figures}?${query()}`, { headers: { Accept: 'application/json' }, cache: 'no-cache' });
    if (!answer.ok) return;
    const content = await answer.json();
    const count = Math.max(content.throughput.length, content.response.length);
    const times = Array.from({ length: count }, (_, index) => content.start + index * content.step);
    const most = content.throughput.reduce((high, value) => Math.max(high, value ?? 0), 0);
    per = most > 0 && most < 1 ? 60 : 1;
    const throughput = times.map((_, index) => (content.throughput[index] == null ? null : content.throughput[index] * per));
    const response = times.map((_, index) => content.response[index] ?? null);
    const scope = content.scope ? `, ${content.scope}` : '';
    document.getElementById('throughput-label').textContent = `Throughput, requests per ${per === 60 ? 'minute' : 'second'}${scope}`;
    document.getElementById('response-label').textContent = `Response time, mean${scope}`;
    const origin = content.problem ?? `Figures: ${content.origin}, one point for ${page.lasted(content.step)}`;
    document.getElementById('origin').textContent = origin;
    sumUp(content, times);
    plots[0].setData([times, throughput], false);
    plots[1].setData([times, response], false);
    for (const plot of plots) { plot.setScale('y', { min: null, max: null }); }
    draw();
  }

  function sumUp(content, times) {
    const totals = content.totals ?? {};
    let requests = totals.requests;
    if (requests == null) requests = content.throughput.reduce((sum, value) => sum + (value ?? 0) * content.step, 0);
    const known = content.response.filter((value) => value != null);
    const response = totals.response ?? (known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null);
    const place = document.getElementById('totals');
    place.replaceChildren();
    if (!times.length) return;
    const add = (value, unit) => place.append(element('b', value), ` ${unit}   `);
    add(Math.round(requests).toLocaleString('en'), requests === 1 ? 'request' : 'requests');
    if (totals.errors != null && requests) add(`${seconds((totals.errors / requests) * 100)} %`, 'errors');
    if (response != null) add(millis(response), 'mean response');
  }

  function say(text) {
    problem.hidden = !text;
    if (text && problem.textContent !== text) problem.textContent = text;
    const dot = document.getElementById('live');
    dot.className = `dot${text ? ' away' : live ? '' : ' still'}`;
    document.getElementById('live-text').textContent = text ? 'trying again' : live ? 'live' : 'fixed period';
  }

  async function poll() {
    if (!document.hidden) {
      try {
        await readMarkers();
        failures = 0;
      } catch {
        failures++;
        if (failures > 1) say('The console does not answer. This page tries again by itself.');
      }
    }
    setTimeout(poll, POLL);
  }

  let figuresDue = 0;
  async function pollFigures() {
    clearTimeout(figuresDue);
    if (!document.hidden) try { await readFigures(); } catch { /* readMarkers says it */ }
    figuresDue = setTimeout(pollFigures, FIGURES);
  }

  // htmx has asked for the table of another choice: the charts follow.
  document.addEventListener('htmx:after:swap', (event) => {
    if (event.detail?.ctx?.sourceElement === form) { readMarkers().catch(() => {}); pollFigures(); }
  });
  for (const radio of form.elements.range) radio.addEventListener('change', () => { stack = []; });

  plots = [
    chart(document.getElementById('throughput'), short, false, true),
    chart(document.getElementById('response'), millis, true, false),
  ];
  new ResizeObserver(() => {
    for (const plot of plots) {
      const width = plot.root.parentElement.clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }
    draw();
  }).observe(box);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readColours(); draw(); });
  document.addEventListener('visibilitychange', () => { if (!document.hidden) { readMarkers().catch(() => {}); pollFigures(); } });
  if (new URLSearchParams(location.search).has('from')) live = false;
  Promise.all([poll(), pollFigures()]).then(() => requestAnimationFrame(() => requestAnimationFrame(() => {
    box.dataset.drawn = 'yes';
    performance.mark('drawn');
  })));
})();
