// What this painter knows: the model, the cells, the tools in hand, and where its parts are.
const root = element.querySelector(".cb-grid");
const uid = "cb" + Math.random().toString(36).slice(2, 8);
const COARSE = matchMedia("(pointer: coarse)").matches;

// Gradio forgets our props when it mounts us again, so they live outside the component too, and so
// do strokes that the server has not seen yet.
const stores = window.cachebrushGrids = window.cachebrushGrids || {};
const store = stores[BAKED.key] = stores[BAKED.key] || {
  props: {}, value: null, pending: [], rev: 0, brush: 1, tool: COARSE ? "pan" : "paint",
  view: "plan", zoom: "fit", pairs: false,
};

function prop(name) {
  if (props[name] !== undefined) store.props[name] = props[name];
  return store.props[name] !== undefined ? store.props[name] : BAKED.props[name];
}

let model = makeModel(null);
let confirmed = new Uint8Array(0);  // the server's last word
let cells = new Uint8Array(0);      // on screen: confirmed + pending strokes + the stroke in hand
let history = {undo: null, redo: null};
let stroke = null;                  // the pointer stroke in hand, see paint.js
let typed = null;                   // keyboard edits not sent yet: {to, cells: Set, timer}
let focusAt = [0, 1];               // row and step of the tab stop; -1 is a heading

const nodes = {};                   // parts of the page: toolbar, readouts, grid, message ...
const geometry = {lab: 0, head: 0, cw: 0, ch: 0, gap: 1, group: 0, lock: 0};
const stats = {builds: 0, moves: 0, moveMs: [], liveMs: [], sent: 0, retried: 0};

const brushIs = k => model.legend[k];
const isLocked = (i, to) => to !== COMPUTE && i % model.S === 0;
const rowOf = i => Math.floor(i / model.S);
const blockOf = row => Math.floor(row / model.R);
const branchOf = row => model.branches[row % model.R];
const LONG = {attn: "attention", mlp: "feed-forward"};
const longBranch = row => LONG[branchOf(row)] || branchOf(row);

function timestepText(s) {
  const t = model.timesteps && model.timesteps[s];
  return t === null || t === undefined ? "" : String(Math.round(t * 10) / 10);
}

// One place for words: shown under the grid and read out by screen readers. `kind` "locked" adds
// the lock, so that a refusal does not look like a report.
function say(text, kind) {
  nodes.message.className = "cb-message" + (kind ? " cb-" + kind : "");
  nodes.message.replaceChildren(...(kind === "locked" ? [icon("lock")] : []), text);
}
