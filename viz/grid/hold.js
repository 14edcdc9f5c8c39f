// Holding still: while a stroke is in hand the grid stays where the pointer met it. What comes and
// goes above it on the page meanwhile moves it only once the pointer is up, by scrolling.
let held = null;  // {left, top: of the rows, less all scrolling; x, y: what the grid is moved by}

const rowsAt = () => {
  const box = nodes.rows.getBoundingClientRect(), {scrollLeft, scrollTop} = nodes.scroll;
  return [box.left + scrollX + scrollLeft, box.top + scrollY + scrollTop];
};

function hold() {
  const [left, top] = rowsAt();
  held = {left, top, x: 0, y: 0, frame: 0};
  document.documentElement.style.overflowAnchor = "none";  // or the page would scroll against it
  const watch = () => {
    keepStill();
    held.frame = requestAnimationFrame(watch);
  };
  held.frame = requestAnimationFrame(watch);
}

// Early in a frame, where the page is laid out anyway and nothing of it has been seen.
function keepStill() {
  if (!held) return;
  const [left, top] = rowsAt(), right = held.left - left, down = held.top - top;
  if (Math.abs(right) < 0.5 && Math.abs(down) < 0.5) return;
  held.x += right;
  held.y += down;
  root.style.translate = `${held.x}px ${held.y}px`;
  originStale = true;
}

function letGo() {
  if (!held) return;
  const {frame, y} = held;
  held = null;
  cancelAnimationFrame(frame);
  document.documentElement.style.overflowAnchor = "";
  root.style.translate = "";
  originStale = true;
  if (y) scrollBy({top: -y, behavior: "instant"});
  if (resized) layout();
}
