/** Values at rising sizes. */
export type Curve = [size: number, value: number][];

/** What a machine that does other things too may add. */
const NOISE = 1.25;
/** Of a second, a millisecond or a MiB: nothing that anybody could tell from chance. */
const LEAST = 0.1;

/**
 * The last value, as a multiple of where a straight line through the first one and the last but one leads, pure.
 * Above 1: it grows faster than linearly. @throws Error below 3 points.
 */
export function overLinear(curve: Curve): number {
  const [first, middle, last] = [curve[0], curve.at(-2), curve.at(-1)];
  if (curve.length < 3 || first === undefined || middle === undefined || last === undefined) {
    throw new Error(`growth needs figures at 3 sizes, not at ${curve.length}`);
  }
  const perSize = Math.max(0, (middle[1] - first[1]) / (middle[0] - first[0]));
  return last[1] / (first[1] + perSize * (last[0] - first[0]));
}

export const isFasterThanLinear = (curve: Curve): boolean => overLinear(curve) > NOISE && curve.at(-1)![1] > LEAST;

export function growthText(curve: Curve): string {
  if (isFasterThanLinear(curve)) return `**faster than linear** (${overLinear(curve).toFixed(1)} x the line)`;
  return curve.at(-1)![1] <= NOISE * curve[0]![1] ? 'does not grow' : 'at most linear';
}
