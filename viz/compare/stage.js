// The stage: two panes with a divider between them, or beside each other, or their difference.
const LARGEST_PX = 420;  // beyond three to four times its size a 128 px picture shows nothing new

function makePane(side) {
  const canvas = el("canvas", "", {role: "img"});
  const chip = el("span", "cbc-chip"), words = el("p", "cbc-words");
  const node = el("div", `cbc-pane cbc-${side}`, {}, canvas, words, chip);
  let drawn = null;
  return {
    node,
    resize(side) { canvas.width = canvas.height = side; drawn = null; },
    // `shown`: {picture | null, label, alt, words}
    show(shown, pixels) {
      chip.textContent = shown.label;
      canvas.hidden = !shown.picture;
      words.hidden = !!shown.picture;
      words.textContent = shown.words;
      if (!shown.picture) return;
      canvas.setAttribute("aria-label", shown.alt);
      if (drawn && drawn.picture === shown.picture && drawn.pixels === pixels) return;
      drawn = {picture: shown.picture, pixels};
      drawUp(canvas, shown.picture, pixels);
    },
  };
}

function makeStage({getSplit, setSplit}) {
  const left = makePane("left"), right = makePane("right");
  const diff = el("canvas", "cbc-diff", {role: "img"});
  const diffWords = el("p", "cbc-words");
  const diffPane = el("div", "cbc-pane cbc-difference", {}, diff, diffWords);
  const knob = el("span", "cbc-knob", {"aria-hidden": "true"}, icon(ICONS.grip));
  const divider = el("div", "cbc-divider", {
    role: "slider", tabindex: 0, "aria-label": "Divider between the two pictures",
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-orientation": "horizontal",
  }, knob);
  const node = el("div", "cbc-stage", {}, left.node, right.node, divider, diffPane);

  draggable(node, event => {
    if (!node.classList.contains("cbc-as-divider")) return false;
    const box = node.getBoundingClientRect();
    setSplit(clamp((event.clientX - box.left) / box.width * 100, 0, 100));
    if (event.type === "pointerdown") { event.preventDefault(); divider.focus({preventScroll: true}); }
  });
  divider.onkeydown = event => {
    const to = sliderKey(event, getSplit(), 0, 100, 2, 10);
    if (to === null) return;
    event.preventDefault();
    setSplit(to);
  };

  let side = 0, mode = "";
  // Sizes follow the width that the page gives; the backing store follows the screen's pixels.
  function fit() {
    const room = node.parentElement.clientWidth;
    if (!room) return false;
    const pair = mode === "sides";
    const css = Math.floor(Math.min(LARGEST_PX, pair ? (room - 8) / 2 : room));
    const now = Math.round(css * (window.devicePixelRatio || 1));
    node.style.setProperty("--side", css + "px");
    if (now === side) return false;
    side = now;
    left.resize(side);
    right.resize(side);
    diff.width = diff.height = side;
    return true;
  }

  return {
    node, fit, diffPane,
    setMode(to) {
      mode = to;
      for (const name of ["divider", "sides", "difference"]) {
        node.classList.toggle("cbc-as-" + name, name === to);
      }
      divider.hidden = to !== "divider";
      left.node.hidden = right.node.hidden = to === "difference";
      diffPane.hidden = to !== "difference";
      fit();
    },
    setSplit(percent, text) {
      node.style.setProperty("--cut", percent + "%");
      divider.setAttribute("aria-valuenow", Math.round(percent));
      divider.setAttribute("aria-valuetext", text);
    },
    showPair(a, b, pixels) { left.show(a, pixels); right.show(b, pixels); },
    showDifference(canvas, words, alt) {
      diff.hidden = !canvas;
      diffWords.hidden = !!canvas;
      diffWords.textContent = words;
      if (!canvas) return;
      diff.setAttribute("aria-label", alt);
      drawUp(diff, canvas, true);
    },
  };
}

// Legend of the difference: the scale with its ends in levels of 0 … 255, gain, and the numbers.
function makeLegend({getGain, setGain}) {
  const low = el("span"), high = el("span"), text = el("p", "cbc-numbers");
  const bar = el("div", "cbc-bar", {"aria-hidden": "true"});
  bar.style.background = `linear-gradient(90deg, ${DIVERGING.join(",")})`;
  const ends = el("div", "cbc-ends", {}, low, el("span", "", {}, "0"), high);
  const scale = el("div", "cbc-scale", {}, bar, ends);
  const choices = GAINS.map(g => [g, "×" + g, `Differences shown ${g} times as strong`]);
  const gain = segmented("Difference gain", choices, getGain, setGain);
  const node = el("div", "cbc-legend", {}, el("div", "cbc-legend-row", {}, scale, gain.node), text);
  return {
    node,
    show(sentence) {
      const end = Math.round(255 / getGain());
      low.textContent = `−${end} darker`;
      high.textContent = `brighter +${end}`;
      text.textContent = sentence;
      gain.sync();
    },
  };
}
