// Signed difference of two frames: numbers over all channels, and a picture centred at zero.
const GAINS = [1, 4, 16];

// `left` and `right` hold RGBA bytes of n pixels. `signed` is the mean of the three channels of
// right - left, so a change of colour alone still counts; mean and max are over all 3 n values.
function subtract(left, right) {
  const n = left.length / 4, signed = new Float32Array(n);
  let sum = 0, max = 0, bias = 0, pixels = 0;
  for (let i = 0; i < n; i++) {
    let at = 0, touched = 0;
    for (let c = 0; c < 3; c++) {
      const d = right[4 * i + c] - left[4 * i + c], size = Math.abs(d);
      at += d;
      touched |= size;
      sum += size;
      if (size > max) max = size;
    }
    signed[i] = at / 3;
    bias += at / 3;
    if (touched) pixels++;
  }
  return {signed, mean: sum / (3 * n), max, bias: bias / n, changed: pixels / n};
}

// 511 colours for -255 … 255; entry 255 is exactly zero.
const RAMP = (() => {
  const stops = DIVERGING.map(c => [1, 3, 5].map(i => parseInt(c.slice(i, i + 2), 16)));
  return Array.from({length: 511}, (_, i) => {
    const place = i / 510 * (stops.length - 1), k = Math.min(Math.floor(place), stops.length - 2);
    return stops[k].map((a, c) => Math.round(a + (stops[k + 1][c] - a) * (place - k)));
  });
})();

// A canvas of `size` with the difference times `gain`; `beyond` counts pixels outside the scale.
function paintSigned(signed, size, gain) {
  const canvas = el("canvas", "", {width: size, height: size}), context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  let beyond = 0;
  for (let i = 0; i < signed.length; i++) {
    const value = signed[i] * gain;
    if (Math.abs(value) > 255) beyond++;
    const colour = RAMP[clamp(Math.round(value), -255, 255) + 255];
    image.data.set([colour[0], colour[1], colour[2], 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return {canvas, beyond};
}

const bytesOf = canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
const sized = x => x < 0.05 ? x.toFixed(2) : x.toFixed(1);

function sayDifference(result, exact) {
  if (!result.max) return "identical: no pixel differs";
  const about = exact ? "" : "about (frames are compressed): ";
  return `${about}mean |Δ| ${sized(result.mean)} of 255, max ${result.max}, ` +
    `${(100 * result.changed).toFixed(0)} % of the pixels differ`;
}
