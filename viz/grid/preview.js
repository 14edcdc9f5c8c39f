// Another grid for a moment, while a control elsewhere on the page moves: `cachebrush:preview` with
// {rows: {branch: "0110…"}}, a pattern of steps for all blocks, shows it, without rows what there was
// before. Nobody else is told: when the control comes to rest, the server answers with the real one.
const PREVIEW = "cachebrush:preview", PREVIEW_MS = 4000;
let previewTimer = 0;

function onPreview(event) {
  if (!root.isConnected) return window.removeEventListener(PREVIEW, onPreview);
  const {rows} = event.detail || {};
  clearTimeout(previewTimer);
  if (!rows) return recompose();
  const reuse = legendOf("cells").findIndex(brush => brush.kind === "reuse");
  const fits = model.branches.every(branch => rows[branch] && rows[branch].length === model.S);
  if (stroke || peek || ranView() || reuse < 1 || !fits) return;
  const cells = planes.cells.slice();
  for (let i = 0; i < model.cells; i++)
    if (!planes.locks[i]) cells[i] = rows[branchOf(rowOf(i))][i % model.S] === "1" ? reuse : COMPUTE;
  planes = {...planes, cells, steps: new Uint8Array(model.S)};
  drawCells();
  previewTimer = setTimeout(recompose, PREVIEW_MS);  // should no answer come
}
window.addEventListener(PREVIEW, onPreview);
