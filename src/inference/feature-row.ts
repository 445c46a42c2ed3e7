/** A feature vector enters, the row of numbers a model wants leaves. */

import type { FeatureGroup, FeatureVector } from '../domain/feature-vector.ts';
import { fullFeatureId } from '../domain/feature-vector.ts';
import type { ManifestFeature } from './model-manifest.ts';

/** Where each wanted feature sits in vectors of one shape. */
interface Layout {
  /** The shape: channel and spec list of every group, compared by identity of the spec lists. */
  readonly groups: readonly FeatureGroup[];
  /** Group index and position inside it, two entries a wanted feature; -1 where the vector lacks it. */
  readonly places: Int32Array;
}

/** Shapes remembered at a time; machines of one class with the same channels share one. */
const MAX_LAYOUTS = 64;

/** Picks features out of vectors by full id; vectors of a shape seen before cost one indexed read a feature. */
export class FeaturePicker {
  readonly #ids: readonly string[];
  readonly #accept: (position: number, group: FeatureGroup, index: number) => boolean;
  readonly #layouts: Layout[] = [];

  /**
   * @param ids full feature ids in the order of the row
   * @param accept false where a feature of that id is another quantity than the one wanted: it counts as absent
   */
  constructor(
    ids: readonly string[],
    accept: (position: number, group: FeatureGroup, index: number) => boolean = () => true,
  ) {
    this.#ids = ids;
    this.#accept = accept;
  }

  /** Shape [ids.length]; NaN where the vector lacks the feature or it is undefined for this window. */
  pick(vector: FeatureVector): Float64Array {
    const { places } = this.#layoutOf(vector.groups);
    const row = new Float64Array(this.#ids.length);
    for (let i = 0; i < row.length; i++) {
      const group = places[2 * i]!;
      row[i] = group < 0 ? Number.NaN : vector.groups[group]!.values[places[2 * i + 1]!]!;
    }
    return row;
  }

  #layoutOf(groups: readonly FeatureGroup[]): Layout {
    const known = this.#layouts.find((layout) => sameShape(layout.groups, groups));
    if (known) return known;
    const positions = new Map(this.#ids.map((id, i) => [id, i]));
    const places = new Int32Array(2 * this.#ids.length).fill(-1);
    groups.forEach((group, g) => {
      group.specs.forEach((spec, index) => {
        const position = positions.get(fullFeatureId(group.channel, spec.id));
        if (position !== undefined && this.#accept(position, group, index))
          places.set([g, index], 2 * position);
      });
    });
    const layout = { groups, places };
    if (this.#layouts.length >= MAX_LAYOUTS) this.#layouts.shift();
    this.#layouts.push(layout);
    return layout;
  }
}

/** What a trained model makes of a vector. */
export interface ModelRow {
  /** Shape [features.length]; NaN only where the manifest lets the graph handle it. */
  readonly values: Float64Array;
  /** First feature that is undefined and must not be; empty if the row can be scored. */
  readonly missing: string;
  /** A feature lies further outside its training range than half that range. */
  readonly extrapolating: boolean;
}

/** Builds the rows of one trained model; refuses features whose unit, version or parameters are not the trained ones. */
export class ModelRowBuilder {
  readonly #features: readonly ManifestFeature[];
  readonly #picker: FeaturePicker;

  constructor(features: readonly ManifestFeature[]) {
    this.#features = features;
    this.#picker = new FeaturePicker(
      features.map(({ id }) => id),
      (position, group, index) => sameQuantity(features[position]!, group, index),
    );
  }

  build(vector: FeatureVector): ModelRow {
    const values = this.#picker.pick(vector);
    let missing = '';
    let extrapolating = false;
    for (let i = 0; i < values.length; i++) {
      const { id, impute, min, max } = this.#features[i]!;
      const value = values[i]!;
      if (Number.isNaN(value)) {
        if (typeof impute === 'number') values[i] = impute;
        else if (impute === 'refuse' && missing === '') missing = id;
      } else {
        const margin = 0.5 * (max - min);
        if (value < min - margin || value > max + margin) extrapolating = true;
      }
    }
    return { values, missing, extrapolating };
  }
}

function sameShape(known: readonly FeatureGroup[], groups: readonly FeatureGroup[]): boolean {
  if (known.length !== groups.length) return false;
  for (let i = 0; i < known.length; i++) {
    if (known[i]!.specs !== groups[i]!.specs || known[i]!.channel !== groups[i]!.channel) return false;
  }
  return true;
}

function sameQuantity(wanted: ManifestFeature, group: FeatureGroup, index: number): boolean {
  const spec = group.specs[index]!;
  const keys = Object.keys(wanted.params);
  return (
    spec.unit === wanted.unit &&
    spec.formulaVersion === wanted.formulaVersion &&
    keys.length === Object.keys(spec.params).length &&
    keys.every((key) => spec.params[key] === wanted.params[key])
  );
}
