// What is shown and how it changes: the only writer of the view's state, and the wiring to Gradio.
// element, props and watch are given by gr.HTML; this runs once per mount.
const root = element.querySelector(".cb-compare");
if (!document.getElementById("cb-compare-css")) {
  document.head.append(el("style", "", {id: "cb-compare-css"}, CSS));
}
// Gradio forgets custom props when a component is mounted again, so the page remembers them.
const pages = window.__cbCompare = window.__cbCompare || {};
const memory = pages[START.key] = pages[START.key] || {mounts: 0, live: START.live, view: {}};
memory.mounts++;

// `at` is the step in the longer of the two trajectories; "last" follows a change of their length.
const view = Object.assign({
  left: "full", right: "cached", mode: "divider", split: 50, gain: 4, pixels: false,
  at: 0, last: true, follow: true,
}, memory.view);
memory.view = view;
let sources = {}, given = {held: "", badge: ""}, rev = null, mark = null, difference = null, queued = 0;
// The run, the newest preview of each of its pictures, and the step of the one being made.
let live = null, previews = {}, pictured = -1;

const held = el("p", "cbc-held"), badge = el("span", "cbc-badge");
const news = el("p", "cbc-hide", {role: "status"});
const stage = makeStage({getSplit: () => view.split, setSplit: to => { view.split = to; showSplit(); }});
const legend = makeLegend({getGain: () => view.gain, setGain: to => { view.gain = to; soon(); }});
const region = makeRegion(stage.diffPane, box => {
  window.cbRegion = {box};
  document.querySelector("#region-do")?.click();
});
const modes = segmented("How to compare", [
  ["divider", "Divider", "One picture, a divider between the two"],
  ["sides", "Side by side", "Both pictures whole"],
  ["difference", "Difference", "Right minus left, in colour"],
], () => view.mode, to => { view.mode = to; stage.setMode(to); soon(); });
const grain = el("button", "cbc-toggle", {type: "button", title: "Show every pixel as a square"}, "Pixels");
grain.onclick = () => { view.pixels = !view.pixels; soon(); };
const follow = el("button", "cbc-toggle", {type: "button"}, "Follow the run");
follow.onclick = () => { view.follow = true; soon(); };
const scrubber = makeScrubber({
  getStep: () => view.at, getSteps: steps, setStep, hovered: tell, beside: follow,
});
const cards = makeCards(choose);
root.setAttribute("role", "group");
root.setAttribute("aria-label", "Pictures: full and cached");
root.replaceChildren(
  el("div", "cbc-top", {}, held, badge),
  el("div", "cbc-tools", {}, modes.node, grain),
  el("div", "cbc-body", {}, el("div", "cbc-main", {}, stage.node, legend.node, region.bar, scrubber.node), cards.node),
  news,
);

/* ---------- state ---------- */
const side = key => sources[key] || makeSource({label: USUAL[key] || key, caption: ""}, () => {});
function steps() {
  const known = [view.left, view.right].map(key => side(key).steps);
  return Math.max(...known, 0);
}
function setStep(to) {
  view.at = clamp(to, 0, Math.max(0, steps() - 1));
  view.last = view.at === steps() - 1;
  if (live) view.follow = false;
  soon();
}
// Trajectories of other lengths are entered at the same share of the way; the end stays the end.
function shareDone() { return view.last || !steps() ? 1 : (view.at + 1) / steps(); }
function goToShare(share) {
  view.at = clamp(Math.round(share * steps()) - 1, 0, Math.max(0, steps() - 1));
}
function choose(key, where) {
  const other = where === "right" ? "left" : "right";
  const share = shareDone();
  if (view[other] === key) view[other] = view[where];
  view[where] = key;
  goToShare(share);
  soon();
}
const onStage = key => key === view.left || key === view.right;
const following = () => live && view.follow && onStage(live.source);

/* ---------- drawing ---------- */
function soon() { if (!queued) queued = requestAnimationFrame(() => { queued = 0; draw(); }); }

function stepOf(key) {
  const source = side(key);
  const [at, count] = following() ? [live.step, live.total] : [view.at, steps()];
  if (following() && live.source === key) return at;
  return source.steps ? alignedStep(at, count, source.steps) : 0;
}
function shownAt(key) {
  const source = side(key), step = stepOf(key), now = live && live.source === key;
  const running = now && (following() || source.missing);
  if (!running && replaced(key)) return beingMade(key);
  const picture = running ? previewOf(key) : source.frame(step);
  const total = running ? live.total : source.steps;
  const about = stepText(running ? live.step : step, total);
  const words = running ? "waiting for the first preview …"
    : source.ready || source.missing ? source.words : "loading …";
  return {
    key, picture, total, words, label: running ? titleOf(key) + " · running" : source.label,
    about: `${source.label}: ${about}`, alt: `${source.label}, ${about}`, exact: source.exact || running,
  };
}
const previewOf = key => previews[key] ? previews[key].picture : null;
// What the run has made already, or will: where it is of another picture, what was there before has
// nothing to do beside it. One that ran for somebody before has no previews, and follows as well.
const replaced = key => live && view.follow && (live.held || previews[key]);
const titleOf = key => live && (live.source === key ? live.title : previews[key] && previews[key].title) || side(key).label;
function beingMade(key) {
  const picture = previewOf(key), label = titleOf(key) + (picture ? " · has run" : "");
  return {
    key, picture, label, total: live.total, words: "follows", exact: true,
    about: `${titleOf(key)}: ${picture ? "has run" : "follows"}`, alt: label,
  };
}
function showSplit() {
  const text = `${Math.round(view.split)} % ${side(view.left).label}, the rest ${side(view.right).label}`;
  stage.setSplit(view.split, text);
}

function drawDifference(a, b) {
  difference = null;
  region.show(null);
  if (!a.picture || !b.picture) return missingDifference([a, b].filter(s => !s.picture));
  if (a.picture.width !== b.picture.width) {
    return missingDifference([], "Pictures of different sizes cannot be subtracted.");
  }
  const result = subtract(bytesOf(a.picture), bytesOf(b.picture));
  const {canvas, beyond} = paintSigned(result.signed, a.picture.width, view.gain);
  region.show(result.signed);
  const names = `${side(b.key).label} minus ${side(a.key).label}`;
  const numbers = sayDifference(result, a.exact && b.exact);
  const over = beyond ? ` ${beyond} pixels lie beyond the scale.` : "";
  difference = {mean: result.mean, max: result.max, bias: result.bias, beyond};
  stage.showDifference(canvas, "", `${names}: ${numbers}`);
  legend.show(`${names}: ${numbers}.${over}`);
}
function missingDifference(gone, words) {
  const text = words || gone.map(s => `${side(s.key).label}: ${s.words}`).join(" · ");
  stage.showDifference(null, text, "");
  legend.show("Nothing to subtract yet.");
}

function draw() {
  const count = steps(), a = shownAt(view.left), b = shownAt(view.right);
  const at = following() && count ? alignedStep(live.step, live.total, count) : view.at;
  if (following()) { view.at = at; view.last = at === count - 1; }
  stage.fit();
  stage.showPair(a, b, view.pixels);
  showSplit();
  legend.node.hidden = region.bar.hidden = view.mode !== "difference";
  grain.hidden = view.mode === "difference";  // there every pixel counts, so it is always exact
  if (view.mode === "difference") drawDifference(a, b); else difference = null;
  const shown = [a, b].filter(s => s.picture), sentence = shown.map(s => s.about).join(" · ");
  scrubber.show(at, count, sentence || "no pictures yet", note(shown, sentence));
  scrubber.light(mark);
  grain.setAttribute("aria-pressed", view.pixels);
  modes.sync();
  follow.hidden = !live || view.follow || !onStage(live.source);
  scrubber.node.classList.toggle("cbc-busy", !!live);
  cards.show(sources, view.left, view.right, live && {
    source: live.source, src: live.src, share: (live.step + 1) / live.total,
    label: stepText(live.step, live.total), previews, held: live.held,
  }, titleOf);
  const other = live && view.follow && live.held;
  held.textContent = other || given.held;
  badge.hidden = !given.badge || !!other;
}

// The line under the scrubber: always one, so that nothing jumps when a run starts.
function note(shown, sentence) {
  if (live) return live.label;  // with how many steps are done
  if (!shown.length) return "";
  if (shown.length === 2 && shown[0].total !== shown[1].total) return `${sentence} (same share of the way)`;
  return view.last ? "the final pictures" : "the clean pictures as predicted after this step";
}

/* ---------- Gradio in ---------- */
function takeValue() {
  const value = props.value && props.value.sources ? props.value
    : memory.value || {rev: -1, held: "", sources: {}};
  if (value.rev === rev) return;
  rev = value.rev;
  keepAside(value);
  const next = {}, made = previews;
  for (const key of new Set([...Object.keys(USUAL), ...Object.keys(value.sources)])) {
    const old = sources[key], part = value.sources[key] || {label: USUAL[key], caption: ""};
    const same = old && JSON.stringify(old.part) === JSON.stringify(part);
    const mine = live && live.source === key && part.src;
    const interim = made[key] ? made[key].picture : old && old.frame(old.steps - 1);
    next[key] = same ? old : makeSource(part, soon, interim);
    // Its picture is here, so the previews go; a later step of that run would bring them back.
    if (mine) endLive(live.step);
  }
  const share = shareDone();
  sources = next;
  if (!sources[view.left]) view.left = "full";
  if (!sources[view.right]) view.right = "cached";
  goToShare(share);
  if (document.querySelector("#why .cb-why")) document.querySelector("#region-gone")?.click();
  given = value;
  badge.textContent = value.badge || "";
  soon();
}

// Gradio compares a value with itself as text whenever any prop changes, in a run with every frame:
// pictures of a megabyte are better kept here.
function keepAside(value) {
  memory.value = value;
  if (value === props.value && JSON.stringify(value).includes("data:image")) props.value = {rev};
}

// `after`: frames of this run up to that step stay away; a stopped run may still send one or two.
function endLive(after) {
  if (!live) return;
  news.textContent = `${side(live.source).label}: run ended`;
  memory.over = {run: live.run, source: live.source, step: after};
  if (view.follow) view.last = true;
  live = null;
  previews = {};
  goToShare(shareDone());
  soon();
}
function takeLive() {
  if (props.live !== undefined) memory.live = props.live;
  const now = memory.live;
  if (!now || now.done) { endLive(Infinity); return; }
  const over = memory.over || {};
  const late = over.step === Infinity || over.source === now.source && now.step <= over.step;
  if (!live && over.run === now.run && late) return;
  if (!live || live.run !== now.run) previews = {};
  if (!live || live.run !== now.run || live.source !== now.source) {
    delete previews[now.source];
    pictured = -1;
    view.follow = true;
    scrubber.stop();
    news.textContent = now.label;
  }
  const changed = !live || live.src !== now.src;
  live = Object.assign({}, now);
  const mine = live;
  if (changed && now.src) {
    // A preview that decodes late must not cover a newer one.
    decode(now.src).then(image => {
      if (!live || live.run !== mine.run || live.source !== mine.source || pictured > mine.step) return;
      pictured = mine.step;
      previews[mine.source] = {picture: cutout(image, 0, 0, image.naturalWidth), src: mine.src, title: mine.title};
      soon();
    }, () => {});
  }
  soon();
}
watch(["value", "live"], () => { takeValue(); takeLive(); });

/* ---------- the rest of the page ---------- */
function tell(step) {
  if (step === mark) return;
  const detail = {block: null, branch: null, step, source: "compare"};
  window.dispatchEvent(new CustomEvent("cachebrush:hover", {detail}));
}
const heard = event => {
  if (!root.isConnected) { window.removeEventListener("cachebrush:hover", heard); return; }
  const step = event.detail && event.detail.step;
  mark = Number.isInteger(step) ? step : null;
  scrubber.light(mark);
};
window.addEventListener("cachebrush:hover", heard);
root.addEventListener("keydown", event => {
  const by = {"[": -1, "]": 1}[event.key];
  if (!by || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  scrubber.stop();
  setStep(view.at + by);
});
new ResizeObserver(() => { if (stage.fit()) soon(); }).observe(stage.node.parentElement);

root.cbCompare = {
  state: () => ({
    rev, left: view.left, right: view.right, mode: view.mode, split: view.split, gain: view.gain,
    pixels: view.pixels, step: view.at, steps: steps(), playing: scrubber.playing(), mark, difference,
    shows: {left: stepOf(view.left), right: stepOf(view.right)}, mounts: memory.mounts,
    live: live && {run: live.run, source: live.source, step: live.step, pictured},
    follow: view.follow, region: region.box(), ready: Object.keys(sources).filter(key => sources[key].ready),
  }),
};
stage.setMode(view.mode);
takeValue();
takeLive();
soon();
