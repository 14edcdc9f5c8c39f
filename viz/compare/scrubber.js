// The step scrubber: one slider over the trajectory, a play button, and which step each side shows.
const PLAY_MS = 4000;  // a whole trajectory, whatever its number of steps

function makeScrubber({getStep, getSteps, setStep, hovered, beside}) {
  const play = el("button", "cbc-play", {type: "button"});
  const fill = el("div", "cbc-fill"), thumb = el("div", "cbc-thumb"), ticks = el("div", "cbc-ticks");
  const track = el("div", "cbc-track", {
    role: "slider", tabindex: 0, "aria-label": "Step of the trajectory", "aria-valuemin": 0,
    "aria-orientation": "horizontal",
  }, ticks, fill, thumb);
  const now = el("span", "cbc-now", {"aria-hidden": "true"}), each = el("p", "cbc-each");
  const node = el("div", "cbc-scrub", {}, el("div", "cbc-scrub-row", {}, play, track, now),
    el("div", "cbc-note-row", {}, each, beside));
  let timer = 0, drawn = -1;

  const stepAt = event => {
    const box = ticks.getBoundingClientRect(), last = getSteps() - 1;
    return Math.round(clamp((event.clientX - box.left) / box.width, 0, 1) * last);
  };
  draggable(track, event => {
    if (getSteps() < 2) return false;
    stop();
    setStep(stepAt(event));
  });
  track.addEventListener("pointermove", event => { if (getSteps()) hovered(stepAt(event)); });
  track.addEventListener("pointerleave", () => hovered(null));
  track.onkeydown = event => {
    const to = sliderKey(event, getStep(), 0, Math.max(0, getSteps() - 1), 1, 5);
    if (to === null) return;
    event.preventDefault();
    stop();
    setStep(to);
  };

  function face() {
    play.replaceChildren(icon(timer ? ICONS.pause : ICONS.play));
    play.setAttribute("aria-label", timer ? "Pause" : "Play the steps");
    play.title = timer ? "Pause" : "Play the steps";
  }
  function stop() {
    if (!timer) return;
    clearInterval(timer);
    timer = 0;
    face();
  }
  function start() {
    if (getSteps() < 2) return;
    if (getStep() >= getSteps() - 1) setStep(0);
    timer = setInterval(() => {
      if (!node.isConnected || getStep() >= getSteps() - 1) return stop();
      setStep(getStep() + 1);
    }, PLAY_MS / getSteps());
    face();
  }
  play.onclick = () => timer ? stop() : start();
  face();

  return {
    node, stop,
    playing: () => !!timer,
    light(mark) { [...ticks.children].forEach((tick, i) => tick.classList.toggle("cbc-lit", i === mark)); },
    // `sentence` says what each side shows, to those who hear it; `note` is the line below.
    show(step, steps, sentence, note) {
      if (steps !== drawn) {
        drawn = steps;
        ticks.replaceChildren(...Array.from({length: steps}, (_, i) => {
          const tick = el("i");
          tick.style.left = (steps > 1 ? i / (steps - 1) * 100 : 0) + "%";
          return tick;
        }));
      }
      const share = steps > 1 ? step / (steps - 1) : 0;
      node.style.setProperty("--share", share);
      play.disabled = steps < 2;
      track.setAttribute("aria-valuemax", Math.max(0, steps - 1));
      track.setAttribute("aria-valuenow", step);
      track.setAttribute("aria-valuetext", sentence);
      track.setAttribute("aria-disabled", steps < 2);
      now.textContent = steps ? stepText(step, steps) : "no steps yet";
      each.textContent = note;
    },
  };
}
