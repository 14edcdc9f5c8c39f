// The row of thumbnail cards: what there is to compare, and which side of the stage it is on.
const USUAL = {full: "Full", cached: "Cached", fewer: "Fewer steps"};

function makeCard(key, choose) {
  const picture = el("img", "", {alt: "", draggable: "false"}), gap = el("span", "cbc-gap");
  const label = el("b"), caption = el("span", "cbc-caption");
  const main = el("button", "cbc-pick", {type: "button"}, el("span", "cbc-frame", {}, picture, gap),
    el("span", "cbc-about", {}, label, caption));
  const sides = ["left", "right"].map(side => {
    const button = el("button", "", {type: "button"}, side);
    button.onclick = () => choose(key, side);
    return button;
  });
  main.onclick = () => choose(key, "right");
  const bar = el("i", "cbc-progress", {"aria-hidden": "true"});
  main.firstChild.append(bar);
  const node = el("div", "cbc-card", {role: "group"}, main, el("div", "cbc-sides", {}, ...sides));
  return {
    key, node,
    // `live`: null or {src, share, label} of the picture being made; `made`: the preview of one that
    // the run has made; `next`: whether it will, and has nothing to do with the one of before; `on`:
    // "left", "right" or "".
    show(source, title, on, live, made, next) {
      const src = live && live.src || made || (next ? null : source.part.final);
      const gone = !src || (source.missing && !live && !made);
      picture.hidden = gone;
      gap.hidden = !gone;
      if (!gone && picture.getAttribute("src") !== src) picture.src = src;
      picture.alt = gone ? "" : live || made ? `${source.label}, preview` : `${source.label}, final picture`;
      gap.textContent = live ? "starting …" : next ? "follows" : source.words;
      label.textContent = title;
      caption.textContent = live ? live.label : made ? "has run" : gone ? "" : source.caption;
      node.setAttribute("aria-label", source.label);
      node.classList.toggle("cbc-live", !!live);
      node.dataset.on = on;
      node.style.setProperty("--done", live ? live.share : 0);
      main.title = `Put ${source.label} on the right`;
      sides.forEach((button, i) => {
        const side = ["left", "right"][i];
        button.setAttribute("aria-pressed", on === side);
        button.setAttribute("aria-label", `${source.label} on the ${side}`);
      });
    },
  };
}

function makeCards(choose) {
  const node = el("div", "cbc-cards", {role: "group", "aria-label": "Pictures to compare"});
  let cards = [];
  return {
    node,
    show(sources, left, right, live, titleOf) {
      const keys = Object.keys(sources);
      if (keys.join() !== cards.map(card => card.key).join()) {
        cards = keys.map(key => makeCard(key, choose));
        node.replaceChildren(...cards.map(card => card.node));
      }
      for (const card of cards) {
        const on = card.key === left ? "left" : card.key === right ? "right" : "";
        const mine = live && live.source === card.key, made = live && !mine && live.previews[card.key];
        card.show(sources[card.key], titleOf(card.key), on, mine ? live : null, made && made.src, live && live.held);
      }
    },
  };
}
