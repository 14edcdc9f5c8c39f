// Edits of chosen cells as plain numbers: what each cell becomes. Nothing here touches the page.
// Every function takes the cells of a grid, the chosen cell numbers in order, and the model, and
// gives new cells. Step 0 always computes, so it takes no part. caching/reshape.py has the same
// edits for Python, and a test holds the two to each other.

const copyOf = cells => Uint8Array.from(cells);
const movable = (list, model) => list.filter(i => i % model.S !== 0);

// Chosen cells that lie on one line: of a row through time, or of a step and branch over blocks.
function linesOf(list, way, model) {
  const lines = new Map();
  for (const i of movable(list, model)) {
    const row = Math.floor(i / model.S), s = i % model.S;
    const line = way === "time" ? row : s * model.R + row % model.R;
    if (!lines.has(line)) lines.set(line, []);
    lines.get(line).push(i);
  }
  return [...lines.values()];
}

// The states of every line in reverse order.
function mirrored(cells, list, way, model) {
  const next = copyOf(cells);
  for (const line of linesOf(list, way, model))
    line.forEach((i, k) => { next[i] = cells[line[line.length - 1 - k]]; });
  return next;
}

// The states of every line moved on by some places; what leaves at one end comes back at the other.
function rotated(cells, list, way, by, model) {
  const next = copyOf(cells);
  for (const line of linesOf(list, way, model))
    line.forEach((i, k) => { next[line[(((k + by) % line.length) + line.length) % line.length]] = cells[i]; });
  return next;
}

// Computed every n-th step from the first chosen one on, the brush between.
function everyNth(cells, list, n, offset, to, model) {
  const next = copyOf(cells), steps = movable(list, model).map(i => i % model.S);
  const first = Math.min(...steps);
  for (const i of movable(list, model))
    next[i] = (((i % model.S - first - offset) % n) + n) % n === 0 ? COMPUTE : to;
  return next;
}

// Exactly `share` of the chosen cells, to the nearest whole one, get the brush; the rest compute.
function randomised(cells, list, share, seed, to, model) {
  const next = copyOf(cells), open = movable(list, model), draw = generator(seed);
  const order = open.slice();
  for (let k = order.length - 1; k > 0; k--) {  // Fisher and Yates
    const j = Math.floor(draw() * (k + 1));
    [order[k], order[j]] = [order[j], order[k]];
  }
  const count = Math.floor(share * open.length + 0.5);
  order.forEach((i, k) => { next[i] = k < count ? to : COMPUTE; });
  return next;
}

// 0 <= x < 1 from a seed: mulberry32, the same in Python, so that a seed means the same grid.
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6D2B79F5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function inverted(cells, list, to, model) {
  const next = copyOf(cells);
  for (const i of movable(list, model)) next[i] = cells[i] === COMPUTE ? to : COMPUTE;
  return next;
}

// The first and last chosen steps compute; what lies between stays.
function keptEnds(cells, list, first, last, model) {
  const next = copyOf(cells);
  for (const line of linesOf(list, "time", model))
    line.forEach((i, k) => { if (k < first || k >= line.length - last) next[i] = COMPUTE; });
  return next;
}

function filled(cells, list, to, model) {
  const next = copyOf(cells);
  for (const i of movable(list, model)) next[i] = to;
  return next;
}

// The chosen states elsewhere, computed where they were; null where that leaves the grid.
function moved(cells, list, down, right, model) {
  const next = copyOf(cells), open = movable(list, model), places = [];
  for (const i of open) {
    const row = Math.floor(i / model.S) + down, s = i % model.S + right;
    if (row < 0 || row >= model.rows || s < 1 || s >= model.S) return null;
    places.push(row * model.S + s);
  }
  for (const i of open) next[i] = COMPUTE;
  open.forEach((i, k) => { next[places[k]] = cells[i]; });
  return {cells: next, places};
}
