// The colour layer: measured numbers over the same cells, and the scale that explains them.
let layer = null;  // {label, min, max, data} as it came, or null

function setLayer(raw) {
  layer = raw && raw.data ? {
    label: raw.label || "", min: raw.min, max: raw.max, over: !!raw.over, data: raw.data,
  } : null;
  for (let i = 0; i < cellNodes.length; i++) {
    const level = layerLevel(i);
    if (level === null) cellNodes[i].style.removeProperty("--cb-v");
    else cellNodes[i].style.setProperty("--cb-v", BAKED.ramp[level]);
  }
  root.classList.toggle("cb-no-layer", !layer);
  drawScale();
}

// 0..93, or null where the layer has no value.
function layerLevel(i) {
  const code = layer && layer.data ? layer.data.charCodeAt(i) : NaN;
  return code >= 33 && code <= 126 ? code - 33 : null;
}

function layerText(i) {
  const level = layerLevel(i);
  if (level === null) return null;
  const value = shortNumber(layer.min + (layer.max - layer.min) * level / 93);
  return `${layer.label}: ${level === 93 && layer.over ? "≥ " : ""}${value}`;
}

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
  bar.style.background = `linear-gradient(90deg, ${BAKED.ramp.filter((_, n) => n % 8 === 0).join()})`;
  nodes.scale.append(make("span", "cb-scale-name", {title: layer.label}, layer.label),
    make("span", "cb-scale-range", {}, shortNumber(layer.min), bar,
      (layer.over ? "≥ " : "") + shortNumber(layer.max)));
}
