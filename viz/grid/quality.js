// Which PSNR to expect of a schedule (no page here). caching/predict/features.py and fit.py have the
// formula and are the authority; a test holds this file to them. Letters as in stands.js.
const QUARTERS = 4, THIRDS = 3, FLOOR_DB = -120, TINY = 1e-300;

// The sums of a schedule -------------------------------------------------------------------

// All that the features need.
function makeSums(q) {
  const {S, G, rows} = q;
  return {
    open: new Float64Array(G), held: new Float64Array(G),
    stepOpen: new Float64Array(S * G), stepHeld: new Float64Array(S * G),
    stepOwn: new Float64Array(S), stepChange: new Float64Array(S), stepReused: new Int32Array(S),
    rowOpen: new Float64Array(rows), rowOwn: new Float64Array(rows), rowChange: new Float64Array(rows),
    rowReused: new Int32Array(rows), rowOldest: new Int32Array(rows),
    heldOwn: 0, changeSquares: 0, ages: 0, ownAges: 0,
    forecastOwn: 0, forecastChange: 0, youngOwn: 0, middleOwn: 0,
    answered: new Float64Array(G), stepAnswered: new Float64Array(S * G), rowAnswered: 0, ownAnswered: 0,
  };
}

// A row's cells, which stand from cell `at` on, added to the sums.
function addRow(q, sums, row, effects, at) {
  const {S, G} = q, {open, held, own, change, age} = effects;
  let rowOwn = 0, rowChange = 0, reused = 0, oldest = 0;
  const along = new Float64Array(G);
  for (let s = 0, i = at; s < S; s++, i++) {
    if (!age[i]) continue;
    for (let g = 0, from = i * G, to = s * G; g < G; g++, from++, to++) {
      along[g] += open[from];
      sums.open[g] += open[from];
      sums.held[g] += held[from];
      sums.stepOpen[to] += open[from];
      sums.stepHeld[to] += held[from];
    }
    reused++;
    rowOwn += own[i];
    rowChange += change[i];
    if (age[i] > oldest) oldest = age[i];
    sums.stepOwn[s] += own[i];
    sums.stepChange[s] += change[i];
    sums.stepReused[s] ++;
    sums.heldOwn += effects.heldOwn[i];
    sums.changeSquares += change[i] * change[i];
    sums.ages += age[i];
    sums.ownAges += own[i] * age[i];
    if (effects.forecast[i]) {
      sums.forecastOwn += own[i];
      sums.forecastChange += change[i];
    }
    if (age[i] === 1) sums.youngOwn += own[i];
    else if (age[i] <= 3) sums.middleOwn += own[i];
  }
  sums.rowOpen[row] = squares(along, 0, G);
  sums.rowOwn[row] = rowOwn;
  sums.rowChange[row] = rowChange;
  sums.rowReused[row] = reused;
  sums.rowOldest[row] = oldest;
}

// A row's cells as what is computed answers them, added once all rows are in the sums; `as` says what
// every cell of the grid is.
function addAnswered(q, sums, row, effects, at, as) {
  const {S, G, rows, lasting} = q, {open, held} = effects, along = new Float64Array(G);
  for (let s = 1, from = row * S; s < S; s++) {
    if (as[from + s] === COMPUTED) continue;
    let end = s, share = 0;
    for (; end < S && as[from + end] !== COMPUTED; end++) share += sums.stepReused[end] / rows;
    const left = 1 + (lasting[(s - 1) * (S + 1) + end] - 1) * (share / (end - s));
    for (; s < end; s++) {
      let later = 0;
      for (let other = row + 1; other < rows; other++) if (as[other * S + s] === COMPUTED) later++;
      const part = later / Math.max(1, rows - 1 - row);
      for (let g = 0, i = (at + s) * G, to = s * G; g < G; g++, i++, to++) {
        const effect = (held[i] + (open[i] - held[i]) * part) * left;
        along[g] += effect;
        sums.answered[g] += effect;
        sums.stepAnswered[to] += effect;
        sums.ownAnswered += effect * effect;
      }
    }
  }
  sums.rowAnswered += squares(along, 0, G);
}

function squares(list, from, to) {
  let sum = 0;
  for (let i = from; i < to; i++) sum += list[i] * list[i];
  return sum;
}

const sumOf = list => list.reduce((sum, x) => sum + x, 0);

const inDb = x => Math.max(10 * Math.log10(Math.max(x, TINY)), FLOOR_DB);

// The numbers of `NAMES` in features.py, in its order.
function featuresOf(q, sums) {
  const {S, G, rows} = q, reused = sumOf(sums.rowReused), cells = S * rows;
  const own = sumOf(sums.rowOwn), change = sumOf(sums.rowChange);
  const levels = [
    squares(sums.open, 0, G), squares(sums.held, 0, G), own, sums.heldOwn,
    squares(sums.stepOpen, 0, S * G), squares(sums.stepHeld, 0, S * G), sumOf(sums.rowOpen),
    spansOf(q, sums), reused / cells, change, sums.changeSquares,
    sums.rowOldest.reduce((a, b) => Math.max(a, b), 0),
    reused ? sums.ages / reused : 0, sums.ownAges / Math.max(own, TINY),
    sums.stepReused.reduce((a, b) => Math.max(a, b), 0) / rows,
    sums.stepReused.filter(n => n > 0).length / S, sums.rowReused.filter(n => n > 0).length / rows,
    squares(sums.answered, 0, G), squares(sums.stepAnswered, 0, S * G), sums.rowAnswered, sums.ownAnswered,
  ];
  const shares = [
    ...partsOf(q, sums.stepOwn, sums.rowOwn), sums.forecastOwn,
    sums.stepOwn.reduce((a, b) => Math.max(a, b), 0), sums.rowOwn.reduce((a, b) => Math.max(a, b), 0),
    sums.youngOwn, sums.middleOwn,
  ].map(x => x / Math.max(own, TINY));
  const changes = [...partsOf(q, sums.stepChange, sums.rowChange), sums.forecastChange]
    .map(x => x / Math.max(change, TINY));
  return Float64Array.from([...levels.map(inDb), ...shares, ...changes]);
}

// Sums by quarter of the steps and third of the blocks, and of the first branch.
function partsOf(q, bySteps, byRows) {
  const parts = new Float64Array(QUARTERS + THIRDS + 1);
  bySteps.forEach((x, s) => { parts[Math.floor(s * QUARTERS / q.S)] += x; });
  byRows.forEach((x, row) => {
    parts[QUARTERS + Math.floor(Math.floor(row / q.R) * THIRDS / q.L)] += x;
    if (row % q.R === 0) parts[QUARTERS + THIRDS] += x;
  });
  return parts;
}

// Error of the runs of steps that are reused by more than half, as if reused whole.
function spansOf(q, sums) {
  let sum = 0, start = 0;
  for (let s = 1; s <= q.S; s++) {
    if (s < q.S && sums.stepReused[s] / q.rows > 0.5) continue;
    const length = s - start - 1, known = Math.min(length, q.A);
    if (length) sum += q.spans[start * (q.S + 1) + start + 1 + known] * (length / known) ** 2;
    start = s;
  }
  return sum;
}

// From features to dB ----------------------------------------------------------------------

const inSpreads = (runs, features) => features.map((x, f) => (x - runs.center[f]) / runs.spread[f]);

// 1 / sqrt(1 + |z - z_i|² / F l²) and z · z_i / F, for all runs.
function nearness(runs, z) {
  const {N, F, known, length} = runs, near = new Float64Array(N), along = new Float64Array(N);
  for (let n = 0, i = 0; n < N; n++) {
    let apart = 0, product = 0;
    for (let f = 0; f < F; f++, i++) {
      const gap = z[f] - known[i];
      apart += gap * gap;
      product += z[f] * known[i];
    }
    near[n] = 1 / Math.sqrt(1 + apart / (F * length * length));
    along[n] = product / F;
  }
  return {near, along};
}

function dbOf(runs, z, near) {
  let db = runs.level;
  for (let f = 0; f < runs.F; f++) db += z[f] * runs.slopes[f];
  for (let n = 0; n < runs.N; n++) db += near[n] * runs.bends[n];
  return db;
}

// {db, low, high}: the mean over pictures, and where it comes out for four schedules in five.
function estimateOf(runs, features) {
  const z = inSpreads(runs, features), {near, along} = nearness(runs, z), db = dbOf(runs, z, near);
  const {N} = runs, factor = growFactor(runs, N), solved = new Float64Array(N);
  let unsure = runs.bend + runs.slope * squares(z, 0, runs.F) / runs.F;
  for (let n = 0, at = 0; n < N; n++) {  // at: where row n of the lower triangle begins
    let left = near[n] * runs.bend + along[n] * runs.slope;
    for (let k = 0; k < n; k++) left -= factor[at + k] * solved[k];
    solved[n] = left / factor[at + n];
    unsure -= solved[n] * solved[n];
    at += n + 1;
  }
  const {plain, forecast, floor_db} = runs.width, times = features[runs.forecasts] > 0 ? forecast : plain;
  const half = times * Math.sqrt(Math.max(unsure, 0) + floor_db ** 2);
  return {db, low: db - half, high: db + half};
}

// Cholesky's factor of the runs' covariance, the lower triangle row by row: up to so many rows more.
function growFactor(runs, count) {
  const {N, F, known} = runs, factor = runs.factor = runs.factor || new Float64Array(N * (N + 1) / 2);
  for (const end = Math.min(N, runs.factored + count); runs.factored < end; runs.factored++) {
    const n = runs.factored, at = n * (n + 1) / 2;
    const {near, along} = nearness({...runs, N: n + 1}, known.subarray(n * F, (n + 1) * F));
    for (let k = 0, from = 0; k <= n; from += ++k) {
      let left = near[k] * runs.bend + along[k] * runs.slope + (k === n ? runs.noise[n] : 0);
      for (let j = 0; j < k; j++) left -= factor[at + j] * factor[from + j];
      factor[at + k] = k === n ? Math.sqrt(left) : left / factor[from + k];
    }
  }
  return factor;
}

// A whole schedule -------------------------------------------------------------------------

// {q, as, effects, sums} of a schedule, or {unknown}: brushes that the calibration knows nothing of.
function standOf(q, planes, model) {
  const {cells, steps} = model.legends, kinds = cells.map(standsAs);
  const unknown = [
    ...cells.filter((_, k) => kinds[k] < 0 && planes.cells.includes(k)),
    ...steps.filter((_, k) => k && planes.steps.includes(k)),
  ];
  if (unknown.length) return {unknown};
  const as = Int8Array.from(planes.cells, k => kinds[k]);
  const effects = makeEffects(q, q.rows), sums = makeSums(q);
  for (let row = 0; row < q.rows; row++) {
    fillRow(q, row, as.subarray(row * q.S, (row + 1) * q.S), effects, row * q.S);
    addRow(q, sums, row, effects, row * q.S);
  }
  for (let row = 0; row < q.rows; row++) addAnswered(q, sums, row, effects, row * q.S, as);
  return {q, as, effects, sums};
}

// {db, low, high}, {equal: true} where nothing is cached, or {unknown: brushes}.
function expectPsnr(q, planes, model) {
  const stand = standOf(q, planes, model);
  if (stand.unknown) return stand;
  if (!stand.as.some(kind => kind)) return {equal: true};
  const {db, low, high} = estimateOf(q.runs, featuresOf(q, stand.sums)), most = x => Math.min(q.best, x);
  return {db: most(db), low: most(low), high: most(high)};
}

// What is expected for one picture where {db, low} is expected over pictures; `here`: its own level.
// caching/predict/picture.py has the formula.
function atPicture({db, low}, {level_db, sd_db, best_db, within}) {
  const {least_db, rise, from_db, to_db, deviations} = within;
  const own = least_db + rise * (Math.min(Math.max(db, from_db), to_db) - from_db);
  const half = Math.hypot(db - low, deviations * Math.hypot(own, sd_db));
  const mine = db + level_db, most = x => Math.min(best_db, x);
  return {db: most(mine), low: most(mine - half), high: most(mine + half), half};
}
