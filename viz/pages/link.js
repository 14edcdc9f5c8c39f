// Puts the state into the address and, where the browser lets us, the address onto the clipboard.
(given) => {
  if (!given) return;
  history.replaceState(null, "", "#" + given);
  window.cbMemory.moved();
  window.cbCopy(location.href);
}
