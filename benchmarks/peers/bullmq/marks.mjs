// When each message started, in the file that benchmarks/marks.py describes. Node has no mmap: starts are kept in memory and
// added to the file every 50 ms and at the end. Only what this process marked is written, so processes may share the file.

import fs from "node:fs";

const DIGITS = 8;
const FLUSH_MS = 50;

/** The body of a message: its number, filled up to `size` characters. */
export const bodyOf = (number, size) => String(number).padStart(DIGITS, "0").padEnd(size, "x");

export class Marks {
  constructor(path) {
    this.file = fs.openSync(path, "r+");
    this.count = Math.floor(fs.fstatSync(this.file).size / 9);
    this.numbers = [];
    this.times = [];
    setInterval(() => this.flush(), FLUSH_MS);
  }

  /** Marks the start of the message with this body. */
  start(body) {
    this.numbers.push(Number(body.slice(0, DIGITS)));
    this.times.push(performance.timeOrigin + performance.now());
  }

  /** Adds what was marked since the last time to the file: one write for each run of neighbouring messages. */
  flush() {
    if (this.numbers.length === 0) return;
    const marked = new Map(); // number -> [first start here, starts here]
    this.numbers.forEach((number, position) => {
      const known = marked.get(number);
      if (known) known[1] += 1;
      else marked.set(number, [this.times[position], 1]);
    });
    this.numbers = [];
    this.times = [];
    const ordered = [...marked.keys()].sort((one, other) => one - other);
    for (let first = 0, next = 1; next <= ordered.length; next++) {
      if (next < ordered.length && ordered[next] === ordered[next - 1] + 1) continue;
      this.#add(ordered[first], ordered.slice(first, next).map((number) => marked.get(number)));
      first = next;
    }
  }

  #add(first, entries) {
    const starts = Buffer.alloc(entries.length * 8);
    const counts = Buffer.alloc(entries.length);
    fs.readSync(this.file, starts, 0, starts.length, first * 8);
    fs.readSync(this.file, counts, 0, counts.length, this.count * 8 + first);
    entries.forEach(([start_ms, times], position) => {
      if (counts[position] === 0) starts.writeBigInt64LE(BigInt(Math.floor(start_ms * 1000)), position * 8);
      counts[position] = Math.min(255, counts[position] + times);
    });
    fs.writeSync(this.file, starts, 0, starts.length, first * 8);
    fs.writeSync(this.file, counts, 0, counts.length, this.count * 8 + first);
  }
}
