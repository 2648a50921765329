/** A set of whole numbers kept as ranges, with a bound, so that a verifier's memory has one too. */

export interface NumberRange {
  readonly first: number;
  readonly last: number;
}

export class RangeSet {
  readonly #ranges: NumberRange[] = [];
  readonly #maxRanges: number;

  constructor(maxRanges: number) {
    this.#maxRanges = maxRanges;
  }

  ranges(): readonly NumberRange[] {
    return this.#ranges;
  }

  /** Adds numbers above all that were ever added. False when the set is full. */
  append(first: number, last: number): boolean {
    const end = this.#ranges.at(-1);
    if (end !== undefined && end.last + 1 === first) {
      this.#ranges[this.#ranges.length - 1] = { first: end.first, last };
      return true;
    }
    if (this.#ranges.length >= this.#maxRanges) return false;
    this.#ranges.push({ first, last });
    return true;
  }

  /** The index of the first range that ends at `value` or after. */
  #find(value: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.last ?? value) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes numbers out; true when there was one. */
  remove(first: number, last: number): boolean {
    if (first > last) return false;
    const from = this.#find(first);
    const rest: NumberRange[] = [];
    let count = 0;
    for (let i = from; i < this.#ranges.length; i++) {
      const range = this.#ranges[i];
      if (range === undefined || range.first > last) break;
      count++;
      if (range.first < first) rest.push({ first: range.first, last: first - 1 });
      if (range.last > last) rest.push({ first: last + 1, last: range.last });
    }
    // A split may go one past the bound: it takes a removal to get there, and stays one.
    this.#ranges.splice(from, count, ...rest);
    return count > 0;
  }
}
