// What a calibration was sent as, unpacked, and what stored outputs do where they stand in (no page
// here). caching/predict/packed.py has the bytes and features.py the meaning. G directions, S steps,
// A ages, F features, N runs.
const COMPUTED = 0, REUSED = 1, FORECAST = 2;  // of a cell; a forecast of order n is FORECAST + n

function bytesOf(text) {
  const found = atob(text), out = new Uint8Array(found.length);
  for (let i = 0; i < out.length; i++) out[i] = found.charCodeAt(i);
  return out;
}

const doublesOf = text => new Float64Array(bytesOf(text).buffer);

// Ready for use, or null: nothing was sent, or it is of another shape.
function makeQuality(raw, model) {
  if (!raw || !raw.shape) return null;
  const [S, L, R, A] = raw.shape, [strong, weak] = raw.directions, F = raw.estimator.center.length;
  if (S !== model.S || L !== model.L || R !== model.R) return null;
  const first = new Int32Array(S + 1);  // where the ages of a step begin within a row's
  for (let s = 0; s < S; s++) first[s + 1] = first[s] + Math.min(s, A);
  return withLasting({
    S, L, R, A, G: strong + weak, rows: L * R, first, ages: first[S], unit: raw.unit,
    open: effectsOf(raw.open, strong, weak), held: effectsOf(raw.held, strong, weak),
    change: decodeHalves(raw.change), source: raw.source, best: raw.best_db,
    spans: Float64Array.from(new Float32Array(bytesOf(raw.spans).buffer), x => x * x),
    runs: makeRuns(raw.estimator, F),
  });
}

// Of all steps between i and j reused: their effect when none of them answers over that when all do.
function withLasting(q) {
  const {S, A, G, rows, first, ages, held, unit, spans} = q, lasting = new Float64Array(S * (S + 1)).fill(1);
  for (let i = 0; i < S; i++) {
    const answered = new Float64Array(G);
    for (let s = i + 1; s < S; s++) {
      const at = i * (S + 1) + s + 1, age = s - i;
      lasting[at] = lasting[at - 1];
      if (age > A) continue;
      for (let row = 0; row < rows; row++) {
        const from = (row * ages + first[s] + age - 1) * G;
        for (let g = 0; g < G; g++) answered[g] += held[from + g];
      }
      const most = squares(answered, 0, G) * unit * unit;
      if (most > 0) lasting[at] = Math.sqrt(spans[at] / most);
    }
  }
  return {...q, lasting};
}

// G effects for every cell and age, which single precision holds exactly.
function effectsOf({units, powers, halves, half_powers}, strong, weak) {
  const whole = new Int8Array(bytesOf(units).buffer), half = bytesOf(halves), G = strong + weak;
  const [byWhole, byHalf] = [powers, half_powers].map(text => new Int8Array(bytesOf(text).buffer));
  const bytes = Math.ceil(weak / 2), out = new Float32Array(byWhole.length * G);
  for (let block = 0, at = 0; block < byWhole.length; block++) {
    const scale = 2 ** byWhole[block], small = 2 ** byHalf[block];
    for (let g = 0; g < strong; g++) out[at++] = whole[block * strong + g] * scale;
    for (let g = 0; g < weak; g++) {
      const two = half[block * bytes + (g >> 1)];
      out[at++] = ((g & 1 ? two >> 4 : two & 15) - 8) * small;
    }
  }
  return out;
}

// The runs it was learned from; the factor of their covariance grows with growFactor.
function makeRuns(e, F) {
  const units = new Int16Array(bytesOf(e.known).buffer);
  const known = Float64Array.from(units, (n, i) => n * e.known_steps[i % F]);
  return {
    F, N: known.length / F, known, center: [...e.center], spread: [...e.spread],
    bends: doublesOf(e.bends), slopes: [...e.slopes], level: e.level_db, length: e.length,
    noise: doublesOf(e.noise), bend: e.bend_db ** 2, slope: e.slope_db ** 2, width: e.width,
    forecasts: e.forecasts, factor: null, factored: 0,
  };
}

// At cells ----------------------------------------------------------------------------------

// What a brush is to the calibration; -1 for one it was not learned with.
function standsAs(brush) {
  const {predictor, order} = brush.key ? JSON.parse(brush.key) : {predictor: brush.name};
  if (predictor === "compute") return COMPUTED;
  return predictor === "reuse" ? REUSED : predictor === "taylor" ? FORECAST + order : -1;
}

// Steps that computed a row, newest first, to the weights of their outputs at step s: TaylorSeer's
// recursion, as caching/predictors/taylor.py has it.
function taylorWeights(used, s) {
  const n = used.length, total = new Float64Array(n), x = s - used[0];
  let now = used.map((_, j) => Float64Array.from({length: n}, (_, i) => i === j ? 1 : 0));
  for (let k = 0, factor = 1; k < n; k++) {
    if (k) {
      factor = factor * x / k;
      now = now.slice(1).map((older, j) => now[j].map((a, i) => (a - older[i]) / (used[j] - used[j + 1])));
    }
    for (let i = 0; i < n; i++) total[i] += factor * now[0][i];
  }
  return total;
}

// Room for what the cells of some rows do.
function makeEffects(q, rows) {
  const cells = rows * q.S;
  return {
    open: new Float64Array(cells * q.G), held: new Float64Array(cells * q.G),
    own: new Float64Array(cells), heldOwn: new Float64Array(cells), change: new Float64Array(cells),
    age: new Int32Array(cells), forecast: new Uint8Array(cells),
  };
}

// What a row's cells do, written from cell `at` on; `as` says what each of its S cells is.
function fillRow(q, row, as, into, at) {
  const {S, G} = q, past = [];
  into.open.fill(0, at * G, (at + S) * G);
  into.held.fill(0, at * G, (at + S) * G);
  for (let s = 0, i = at; s < S; s++, i++) {
    into.change[i] = into.own[i] = into.heldOwn[i] = into.age[i] = into.forecast[i] = 0;
    if (as[s] === COMPUTED) { past.unshift(s); continue; }
    into.age[i] = s - past[0];
    if (as[s] === REUSED) addStand(q, row, s, s - past[0], 1, into, i);
    else {
      const used = past.slice(0, as[s] - FORECAST + 1);
      const weights = taylorWeights(used, s);
      for (let k = 0; k < used.length; k++)
        if (weights[k]) addStand(q, row, s, s - used[k], weights[k], into, i);
      into.forecast[i] = 1;
    }
    let own = 0, heldOwn = 0;
    for (let g = i * G; g < (i + 1) * G; g++) {
      own += into.open[g] * into.open[g];
      heldOwn += into.held[g] * into.held[g];
    }
    into.own[i] = own;
    into.heldOwn[i] = heldOwn;
  }
}

// One stored output in cell i: beyond the largest age known, effects go on in proportion.
function addStand(q, row, s, age, weight, into, i) {
  const {G, open, held} = q, beyond = Math.max(1, age / q.A), scale = q.unit * weight * beyond;
  const block = row * q.ages + q.first[s] + Math.min(age, q.A) - 1;
  for (let g = 0, from = block * G, to = i * G; g < G; g++, from++, to++) {
    into.open[to] += open[from] * scale;
    into.held[to] += held[from] * scale;
  }
  into.change[i] += q.change[block] * beyond * Math.abs(weight);
}
