// What the list is for, while nothing is chosen: Gradio's has no such words.
const named = new MutationObserver(() => {
  const list = document.querySelector("#method input");
  if (!list) return;
  list.placeholder = "choose, or type to search";
  named.disconnect();
});
named.observe(document.documentElement, {childList: true, subtree: true});

// A method picked with the pointer goes to the painter's line at once. The list's own event, which
// brings the rest of the page, waits for what this leaves: until the painter shows the new rows.
addEventListener("mousedown", event => {
  window.cbChosen = null;
  const option = event.button === 0 && event.target.closest?.("#method [role=option]");
  const name = option && NAMES[option.getAttribute("aria-label")];
  if (name) window.cbChosen = document.querySelector("#grid .cb-grid")?.cbGrid?.choose(name);
}, true);
