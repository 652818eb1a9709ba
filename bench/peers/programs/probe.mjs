// What a measured handler calls in Node: the files of bench/probe.py, written every 10 ms and after each delay.
import fs from 'node:fs';
import path from 'node:path';

const MARK_EVERY = 500;
const MARKS = 1000;
const DELAYS = 20_000;
const FIRST_MARK = 4;
const FIRST_DELAY = FIRST_MARK + MARKS;
const SIZE = 8 * (FIRST_DELAY + DELAYS);
const FLUSH_MS = 10;

export const FOLDER = process.env.HEADRACE_BENCH_PROBE;

// CLOCK_MONOTONIC in seconds, as Python's time.monotonic() tells it.
export const now = () => Number(process.hrtime.bigint()) / 1e9;

const head = new Float64Array(FIRST_DELAY);
const [COUNT, FIRST, LAST, LATE] = [0, 1, 2, 3];
let file = null;
let changed = false;

function open(first) {
  file = fs.openSync(path.join(FOLDER, `${process.pid}.probe`), 'w+');
  fs.ftruncateSync(file, SIZE);
  head[FIRST] = first;
  setInterval(flush, FLUSH_MS).unref();
}

function flush() {
  if (!changed) return;
  changed = false;
  fs.writeSync(file, new Uint8Array(head.buffer), 0, head.byteLength, 0);
}

// Counts one call of a handler that does nothing else: its start and its end are now.
export function hit() {
  const at = now();
  if (file === null) open(at);
  const count = ++head[COUNT];
  head[LAST] = at;
  if (count % MARK_EVERY === 0 && count / MARK_EVERY <= MARKS) head[FIRST_MARK + count / MARK_EVERY - 1] = at;
  changed = true;
}

// Notes how long ago `since` was, and counts the call.
export function delay(since) {
  const late = now() - since;
  hit();
  const slot = 8 * (FIRST_DELAY + (head[LATE] % DELAYS));
  fs.writeSync(file, new Uint8Array(new Float64Array([late]).buffer), 0, 8, slot);
  head[LATE] += 1;
  flush();
}

// How many calls all processes counted so far.
export function count() {
  let total = 0;
  for (const name of fs.readdirSync(FOLDER)) {
    if (!name.endsWith('.probe')) continue;
    const first = new Float64Array(1);
    const other = fs.openSync(path.join(FOLDER, name), 'r');
    if (fs.readSync(other, new Uint8Array(first.buffer), 0, 8, 0) === 8) total += first[0];
    fs.closeSync(other);
  }
  return total;
}
