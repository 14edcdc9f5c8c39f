// Pictures of a source: decode its sheet once, hand out single frames at their own size.
const UNREADABLE = "picture could not be read";

// A frame stands on a canvas of its own: scaling it up from the sheet would bleed in neighbours.
function cutout(image, x, y, size) {
  const canvas = el("canvas", "", {width: size, height: size});
  canvas.getContext("2d", {willReadFrequently: true}).drawImage(image, x, y, size, size, 0, 0, size, size);
  return canvas;
}

async function decode(src) {
  const image = new Image();
  image.src = src.startsWith("data:") ? src : START.base + src;
  await image.decode();
  return image;
}

// {label, caption, steps, ready, frame(k)}; `changed` is called once the pictures are there. Until
// then `interim` is shown, so that a new result does not flash.
function makeSource(part, changed, interim = null) {
  const source = {
    part, label: part.label, words: part.caption || "not run yet", caption: part.caption || "",
    steps: part.frames || 0, size: part.size || 0, exact: part.lossless !== false,
    ready: false, missing: !part.src, frame: () => interim,
  };
  if (source.missing) { source.frame = () => null; return source; }
  const kept = new Map();
  Promise.all([decode(part.src), decode(part.final)]).then(([sheet, final]) => {
    const size = part.size;
    source.frame = k => {
      if (!kept.has(k)) {
        const last = k === part.frames - 1 && final.naturalWidth === size;
        const x = (k % part.columns) * size, y = Math.floor(k / part.columns) * size;
        kept.set(k, last ? cutout(final, 0, 0, size) : cutout(sheet, x, y, size));
      }
      return kept.get(k);
    };
    source.ready = true;
  }, () => { source.missing = true; source.words = UNREADABLE; source.frame = () => null; }).then(changed);
  return source;
}

// Step of another trajectory at the same share of the way: after (k + 1) of S steps.
function alignedStep(k, steps, otherSteps) {
  if (steps === otherSteps) return k;
  return clamp(Math.round((k + 1) / steps * otherSteps) - 1, 0, otherSteps - 1);
}

// Draws a small picture as large as `target` is. Smooth is the browser's cubic filter: 128 px grow
// to 360 without stairs or mush. Exact pixels first grow by a whole factor and are then fitted, so
// that all of them look equally wide at any size.
function drawUp(target, picture, pixels) {
  const side = target.width, context = target.getContext("2d");
  let from = picture;
  context.imageSmoothingQuality = "high";
  if (pixels && side > picture.width) {
    const whole = Math.ceil(side / picture.width) * picture.width;
    from = el("canvas", "", {width: whole, height: whole});
    const step = from.getContext("2d");
    step.imageSmoothingEnabled = false;
    step.drawImage(picture, 0, 0, whole, whole);
  }
  context.clearRect(0, 0, side, side);
  context.drawImage(from, 0, 0, side, side);
}
