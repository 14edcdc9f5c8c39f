// A file dropped anywhere on the page is opened, as if it had been chosen with Open.
(() => {
  const holdsFiles = event => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const show = on => document.documentElement.classList.toggle("cb-dropping", on);
  const entry = () => {
    if (document.querySelector(".cb-hide-files")) return null;  // a teacher has put files away
    // Gradio keeps the input beside its button.
    const button = document.querySelector("#open");
    return button?.parentElement?.querySelector('input[type="file"]') ?? null;
  };
  let depth = 0;  // dragenter and dragleave come for every element that is crossed
  addEventListener("dragenter", event => {
    if (!holdsFiles(event) || !entry()) return;
    event.preventDefault();
    depth++;
    show(true);
  });
  addEventListener("dragleave", event => {
    if (!holdsFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (!depth) show(false);
  });
  addEventListener("dragover", event => {
    if (!holdsFiles(event) || !entry()) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", event => {
    depth = 0;
    show(false);
    if (!holdsFiles(event) || event.defaultPrevented) return;
    event.preventDefault();  // or the browser would leave the page for the file
    const input = entry(), file = event.dataTransfer.files[0];
    if (!input || !file) return;
    const one = new DataTransfer();
    one.items.add(file);
    input.files = one.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  });
})();
