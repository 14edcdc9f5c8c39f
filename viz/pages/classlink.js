// A teacher's link goes under its button and onto the clipboard, not into the address: the teacher's
// own page would be put away with a reload.
(given) => {
  if (!given) return;
  const address = location.href.split("#")[0] + "#" + given;
  const box = document.getElementById("class-link"), field = box?.querySelector("input");
  if (field) {
    field.value = address;
    box.querySelector("a").href = address;
    box.hidden = false;
    field.select();
  }
  window.cbCopy(address);
}
