// The colour layer: measured numbers over the same cells, and the scale that explains them. The
// layer of changes may be looked at over several lags, which the page's own tables hold.
let layer = null;  // {label, min, max, over, data, lag, signed} as it came, or null
let lagged = null;  // the layer at another lag than it came with, likewise, made here

// A layer `of` a run speaks of that run alone: it shows itself, and goes with it.
function setLayer(raw) {
  if (!raw || !raw.of) store.plainLayer = raw || null;
  const shows = raw && raw.of && !(layer && layer.of);
  const over = layer && layer.of && !(raw && raw.of);
  layer = raw && raw.data ? {
    label: raw.label || "", min: raw.min, max: raw.max, over: !!raw.over, data: raw.data,
    lag: raw.lag || null, signed: !!raw.signed, of: raw.of || null,
  } : null;
  colourLayer();
  root.classList.toggle("cb-no-layer", !layer);
  nodes.views.querySelector("[data-id=layer]").textContent = layer && layer.of ? "Causes" : "Similarity";
  if (shows && store.view !== "both") {
    store.viewBefore = store.view;
    setView("layer");
  } else if (over && store.viewBefore && store.view === "layer") setView(store.viewBefore);
  else drawScale();
  if (over) store.viewBefore = null;
}

// After a run was heard of: what speaks of another one goes.
function checkLayer() {
  if (layer && layer.of && live && live.run !== layer.of) setLayer(store.plainLayer || null);
}

function colourLayer() {
  lagged = lags() && lagNow() !== layer.lag ? layerAt(lagNow()) : null;
  const ramp = layer && layer.signed ? BAKED.diverging.map(([colour]) => colour) : BAKED.ramp;
  for (let i = 0; i < cellNodes.length; i++) {
    const level = layerLevel(i), node = cellNodes[i];
    if (level === null) node.style.removeProperty("--cb-v");
    else node.style.setProperty("--cb-v", ramp[Math.round(level / 93 * (ramp.length - 1))]);
    // Of which sign a number is must be told without colour too.
    if (level === null || !layer.signed) delete node.dataset.v;
    else {
      node.dataset.v = signedText(layer.min + (layer.max - layer.min) * level / 93);
      node.style.setProperty("--cb-v-ink", BAKED.diverging[Math.round(level / 93 * (LEVELS - 1))][1]);
    }
  }
}

// How many lags there are to choose from; 0: this layer is none of changes, or there is but one.
const lags = () => {
  const most = layer && layer.lag && model.tables ? Math.min(model.tables.K, model.S - 1) : 0;
  return most > 1 ? most : 0;
};
const lagNow = () => clamp(store.lag || layer.lag, 1, lags());

// The change since `lag` steps before from the tables, in 94 levels up to the 95th percentile.
function layerAt(lag) {
  const {S, cells, tables} = model, known = [];
  for (let i = 0; i < cells; i++) if (i % S >= lag) known.push(lagChange(i, lag));
  known.sort((a, b) => a - b);
  const high = Math.max(1e-3, known[Math.round(0.95 * (known.length - 1))] || 0);
  const codes = Array.from({length: cells}, (_, i) => i % S < lag ? " "
    : String.fromCharCode(33 + Math.round(clamp(lagChange(i, lag) / high, 0, 1) * 93)));
  return {
    label: `change since ${counted(lag, "step")} before (relative L1)`, min: 0, max: high,
    over: known[known.length - 1] > high, data: codes.join(""), lag, signed: false,
  };
}

const lagChange = (i, lag) => model.tables.change[i * model.tables.K + lag - 1];

// 0..93, or null where the layer has no value.
function layerLevel(i) {
  const from = lagged || layer, code = from && from.data ? from.data.charCodeAt(i) : NaN;
  return code >= 33 && code <= 126 ? code - 33 : null;
}

function layerText(i) {
  const level = layerLevel(i), from = lagged || layer;
  if (level === null) return null;
  if (lags()) {
    const s = i % model.S, lag = lagNow(), small = n => String(n).replace(/\d/g, d => "₀₁₂₃₄₅₆₇₈₉"[d]);
    return `change at lag ${lag} = ‖F${small(s)} − F${small(s - lag)}‖₁ / ‖F${small(s)}‖₁ = ` +
      shortNumber(lagChange(i, lag));
  }
  const value = shortNumber(from.min + (from.max - from.min) * level / 93);
  return `${from.label}: ${level === 93 && from.over ? "≥ " : ""}${value}`;
}

const signedText = x => Math.abs(x) < 0.1 ? "" : (x < 0 ? "−" : "") + Math.abs(x).toFixed(Math.abs(x) < 9.95 ? 1 : 0);

const shortNumber = x => Math.abs(x) >= 100 ? x.toFixed(0) : String(Number(x.toPrecision(3)));

function drawScale() {
  nodes.scale.replaceChildren();
  if (store.view === "plan" || store.view === "ran") return;
  if (store.view === "effect") return drawEffectScale();
  if (!layer) {
    nodes.scale.append(make("span", "", {}, "Nothing measured yet: run the full schedule once."));
    return;
  }
  const bar = make("span", "cb-ramp", {"aria-hidden": "true"});
  const ramp = layer.signed ? BAKED.diverging.map(([colour]) => colour) : BAKED.ramp;
  bar.style.background = `linear-gradient(90deg, ${ramp.filter((_, n) => n % 8 === 0).join()})`;
  nodes.scaleName = make("span", "cb-scale-name");
  nodes.scaleEnds = [make("span"), make("span")];
  if (lags()) nodes.scale.append(lagSlider());
  nodes.scale.append(nodes.scaleName,
    make("span", "cb-scale-range", {title: (lagged || layer).label}, nodes.scaleEnds[0], bar, nodes.scaleEnds[1]));
  writeScale();
}

function writeScale() {
  const from = lagged || layer, [low, high] = nodes.scaleEnds;
  nodes.scaleName.textContent = nodes.scaleName.title = from.label;
  low.textContent = shortNumber(from.min);
  high.textContent = (from.over ? "≥ " : "") + shortNumber(from.max);
}

// Its node stays while it is dragged, or the drag would end.
function lagSlider() {
  const shown = make("output", "", {"aria-hidden": "true"});
  const slider = make("input", "", {
    type: "range", min: 1, max: lags(), step: 1, "aria-label": "Lag: compare with how many steps before",
    "data-testid": "lag",
  });
  const sync = () => {
    shown.textContent = String(lagNow());
    slider.setAttribute("aria-valuetext", counted(lagNow(), "step") + " before");
  };
  slider.value = lagNow();
  slider.addEventListener("input", () => {
    store.lag = Number(slider.value);
    sync();
    colourLayer();
    writeScale();
  });
  slider.addEventListener("keydown", event => event.stopPropagation());
  sync();
  return make("label", "cb-lag", {title: "How many steps before each output is compared with"},
    make("span", "", {}, "change at lag"), slider, shown);
}
