// Sliders by keyboard: Gradio tells of a release by pointer, or where the field of its number is left.
(() => {
  const MOVES = new Set([
    "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End",
  ]);
  addEventListener("keyup", ({target, key}) => {
    const block = target instanceof HTMLInputElement && target.closest(".cb-left .block");
    if (!block || !block.querySelector("input[type=range]")) return;
    if (target.type === "range" && MOVES.has(key))
      target.dispatchEvent(new PointerEvent("pointerup", {bubbles: true}));
    if (target.type === "number" && key === "Enter") target.dispatchEvent(new FocusEvent("blur"));
  });
})();
