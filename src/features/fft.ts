/**
 * Samples -> discrete Fourier transform of any length, in double precision, without allocation after the first use.
 *
 * fft.js transforms powers of two. Every other length goes through Bluestein's chirp-z algorithm, because cutting
 * or zero-padding a record would move its bins: the frequencies of a snapshot of 12 800 samples are multiples of
 * fs / 12 800 and of nothing else.
 */

import FFT from 'fft.js';

/** The one method of fft.js used here, with the types its declaration leaves open. */
interface PowerOfTwoFft {
  transform(out: Float64Array, data: Float64Array): void;
  inverseTransform(out: Float64Array, data: Float64Array): void;
}

/** Smallest power of two >= n, for 1 <= n <= 2^30. */
export function nextPowerOfTwo(n: number): number {
  return n <= 1 ? 1 : 2 ** (32 - Math.clz32(n - 1));
}

/**
 * Forward transform X[k] = sum x[m] exp(-2 pi i k m / n) of one length, complex numbers interleaved (re, im).
 * `out` and `data` are [2n] and must not be the same array; `data` is left as it was.
 */
export interface ComplexFft {
  readonly n: number;
  forward(out: Float64Array, data: Float64Array): void;
}

function powerOfTwoFft(n: number): ComplexFft {
  // fft.js refuses length 1, whose transform is the identity.
  if (n === 1) return { n, forward: (out, data) => out.set(data) };
  const fft = new FFT(n) as PowerOfTwoFft;
  return { n, forward: (out, data) => fft.transform(out, data) };
}

/** Bluestein, L. (1970), IEEE Trans. Audio Electroacoust. 18(4): a DFT as a convolution with a chirp. */
class BluesteinFft implements ComplexFft {
  readonly n: number;
  readonly #fft: PowerOfTwoFft;
  /** exp(-i pi k^2 / n), [2n]. */
  readonly #chirp: Float64Array;
  /** Transform of the conjugate chirp, wrapped around, [2m]. */
  readonly #kernel: Float64Array;
  readonly #a: Float64Array;
  readonly #b: Float64Array;

  constructor(n: number) {
    const m = nextPowerOfTwo(2 * n - 1);
    this.n = n;
    this.#fft = new FFT(m) as PowerOfTwoFft;
    this.#chirp = new Float64Array(2 * n);
    this.#kernel = new Float64Array(2 * m);
    this.#a = new Float64Array(2 * m);
    this.#b = new Float64Array(2 * m);
    for (let k = 0; k < n; k++) {
      // k^2 modulo 2n keeps the angle small, and with it the rounding error of cos and sin.
      const angle = (Math.PI * ((k * k) % (2 * n))) / n;
      const re = Math.cos(angle);
      const im = Math.sin(angle);
      this.#chirp[2 * k] = re;
      this.#chirp[2 * k + 1] = -im;
      this.#a[2 * k] = re;
      this.#a[2 * k + 1] = im;
      if (k > 0) {
        this.#a[2 * (m - k)] = re;
        this.#a[2 * (m - k) + 1] = im;
      }
    }
    this.#fft.transform(this.#kernel, this.#a);
  }

  forward(out: Float64Array, data: Float64Array): void {
    const a = this.#a;
    const b = this.#b;
    multiplyInto(a, data, this.#chirp, 2 * this.n);
    a.fill(0, 2 * this.n);
    this.#fft.transform(b, a);
    multiplyInto(b, b, this.#kernel, b.length);
    this.#fft.inverseTransform(a, b);
    multiplyInto(out, a, this.#chirp, 2 * this.n);
  }
}

/** out = x * y, complex and element by element over `length` numbers; `out` may be `x`. */
function multiplyInto(out: Float64Array, x: Float64Array, y: Float64Array, length: number): void {
  for (let i = 0; i < length; i += 2) {
    const xr = x[i]!;
    const xi = x[i + 1]!;
    const yr = y[i]!;
    const yi = y[i + 1]!;
    out[i] = xr * yr - xi * yi;
    out[i + 1] = xr * yi + xi * yr;
  }
}

/**
 * Transform of n real samples, n even and >= 2: half the work of a complex one, by packing neighbours into one
 * complex number and untangling the result.
 */
export class RealFft {
  readonly n: number;
  readonly #half: ComplexFft;
  readonly #packed: Float64Array;
  /** exp(-2 pi i k / n) for k = 0..n/4, [2 (n/4 + 1)]. */
  readonly #twiddle: Float64Array;

  constructor(n: number) {
    const half = n / 2;
    this.n = n;
    this.#half = (half & (half - 1)) === 0 ? powerOfTwoFft(half) : new BluesteinFft(half);
    this.#packed = new Float64Array(n);
    const quarter = Math.floor(n / 4);
    this.#twiddle = new Float64Array(2 * quarter + 2);
    for (let k = 0; k <= quarter; k++) {
      this.#twiddle[2 * k] = Math.cos((2 * Math.PI * k) / n);
      this.#twiddle[2 * k + 1] = -Math.sin((2 * Math.PI * k) / n);
    }
  }

  /**
   * @param out shape [>= n + 2]: bins 0 (DC) to n/2 (Nyquist), interleaved
   * @param samples shape [>= n]; the first n are transformed
   */
  transform(out: Float64Array, samples: Float64Array): void {
    const half = this.n / 2;
    const z = this.#packed;
    this.#half.forward(z, samples.length === this.n ? samples : samples.subarray(0, this.n));
    out[0] = z[0]! + z[1]!;
    out[1] = 0;
    out[2 * half] = z[0]! - z[1]!;
    out[2 * half + 1] = 0;
    for (let k = 1; k <= half - k; k++) this.#untangle(k, half - k, z, out);
  }

  /** Bins k and j = n/2 - k from the packed transform: even part plus twiddled odd part. */
  #untangle(k: number, j: number, z: Float64Array, out: Float64Array): void {
    const evenRe = 0.5 * (z[2 * k]! + z[2 * j]!);
    const evenIm = 0.5 * (z[2 * k + 1]! - z[2 * j + 1]!);
    const oddRe = 0.5 * (z[2 * k + 1]! + z[2 * j + 1]!);
    const oddIm = 0.5 * (z[2 * j]! - z[2 * k]!);
    const c = this.#twiddle[2 * k]!;
    const s = this.#twiddle[2 * k + 1]!;
    const re = oddRe * c - oddIm * s;
    const im = oddRe * s + oddIm * c;
    out[2 * k] = evenRe + re;
    out[2 * k + 1] = evenIm + im;
    out[2 * j] = evenRe - re;
    out[2 * j + 1] = im - evenIm;
  }
}

/** Samples of all real plans kept at once: eight of 65 536, or two of the longest record transformed. */
const MAX_PLANNED_SAMPLES = 524_288;

/**
 * Plans (twiddle tables and scratch) by length, least recently used out first. Real plans are bounded by their
 * total length; complex ones are powers of two, of which there are few.
 */
export class FftPlans {
  readonly #real = new Map<number, RealFft>();
  readonly #complex = new Map<number, ComplexFft>();
  #plannedSamples = 0;

  /** @param n even, 2 <= n <= 2^18 */
  real(n: number): RealFft {
    const known = this.#real.get(n);
    if (known !== undefined) {
      this.#real.delete(n);
      this.#real.set(n, known);
      return known;
    }
    for (const oldest of this.#real.keys()) {
      if (this.#plannedSamples + n <= MAX_PLANNED_SAMPLES) break;
      this.#real.delete(oldest);
      this.#plannedSamples -= oldest;
    }
    const plan = new RealFft(n);
    this.#real.set(n, plan);
    this.#plannedSamples += n;
    return plan;
  }

  /** @param n a power of two, 1 <= n <= 2^18 */
  powerOfTwo(n: number): ComplexFft {
    let plan = this.#complex.get(n);
    if (plan === undefined) {
      plan = powerOfTwoFft(n);
      this.#complex.set(n, plan);
    }
    return plan;
  }
}
