/** Numbers and times -> words on the page. Pure. */

const UNITS = { 1: '', degC: '°C', 'm3/h': 'm³/h', 'm/s2': 'm/s²', 'mm/s': 'mm/s', '%': '%' };

/** Unit as people write it; '' for ratios. */
export function unitText(unit) {
  if (Object.hasOwn(UNITS, unit)) return UNITS[unit];
  const squared = /^\((.+)\)\^2$/.exec(unit);
  if (squared === null) return unit;
  return squared[1].includes('/') ? `(${unitText(squared[1])})²` : `${unitText(squared[1])}²`;
}

/** A measured value in four significant digits; very large and very small ones in powers of ten. */
export function valueText(value) {
  if (typeof value !== 'number' || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace('e+', 'e');
  if (Number.isInteger(value)) return countText(value);
  return value.toLocaleString('en', { maximumSignificantDigits: 4, useGrouping: false });
}

/** A count with thin groups: 12 345. */
export function countText(value) {
  return typeof value === 'number' && Number.isFinite(value)
    ? Math.round(value).toLocaleString('en').replaceAll(',', '\u2009')
    : '–';
}

/** 0..1 as a whole percentage; 99.6 % stays below 100. */
export function percentText(share) {
  if (typeof share !== 'number' || !Number.isFinite(share)) return '–';
  const percent = share < 1 ? Math.min(99, Math.round(share * 100)) : 100;
  return `${Math.max(0, percent)} %`;
}

/** Bytes in binary steps. */
export function bytesText(bytes) {
  if (!Number.isFinite(bytes)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let step = 0;
  while (value >= 1024 && step < units.length - 1) {
    value /= 1024;
    step++;
  }
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[step]}`;
}

/** A span of time in its two largest units: `3 s`, `2 min 5 s`, `4 h 10 min`, `3 d 2 h`. Never negative. */
export function spanText(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const steps = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ];
  const first = steps.findIndex(([, size]) => seconds >= size);
  if (first === -1) return '0 s';
  const [unit, size] = steps[first];
  const rest = steps[first + 1];
  const text = `${Math.floor(seconds / size)} ${unit}`;
  const left = rest ? Math.floor((seconds % size) / rest[1]) : 0;
  return left > 0 ? `${text} ${left} ${rest[0]}` : text;
}

/** Time of day, with the date when it is not today. */
export function clockText(ms) {
  const time = new Date(ms);
  const today = new Date().toDateString() === time.toDateString();
  const clock = time.toLocaleTimeString([], { hour12: false });
  return today ? clock : `${time.toLocaleDateString([], { day: 'numeric', month: 'short' })} ${clock}`;
}

/** How often a healthy machine shows something this odd: `1 healthy window in 2 000 looks like this`. */
export function rarityText(pValue) {
  const windows = 1 / pValue;
  if (!Number.isFinite(windows) || windows >= 1e6)
    return 'fewer than 1 healthy window in a million looks like this';
  if (windows < 2) return 'most healthy windows look like this';
  return `1 healthy window in ${countText(Number(windows.toPrecision(2)))} looks like this`;
}

/** How far a feature is from the machine's own normal, from its robust z-score. */
export function deviationText(z) {
  const size = Math.abs(z);
  const side = z < 0 ? 'below' : 'above';
  if (size < 2) return 'near its normal';
  if (size < 4) return `${side} its normal`;
  return size < 8 ? `well ${side} its normal` : `far ${side} its normal`;
}
