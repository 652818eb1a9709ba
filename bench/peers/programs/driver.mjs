// The commands of every peer written for Node, as driver.py has them for Python.
import { createRequire } from 'node:module';
import path from 'node:path';
import { count as counted, now } from './probe.mjs';

const PRODUCERS = 16;
const CHUNK = 1000;

// Finds packages in the peer's own environment, which is not beside this file.
export const need = createRequire(path.join(process.env.HEADRACE_BENCH_MODULES, 'here.js'));

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const rate = (count, start) => ({ 'jobs/s': count / (now() - start) });

async function atOnce(producer, count) {
  let next = 0;
  const start = now();
  const produce = async () => {
    while (next < count) await producer.one({ n: next++ });
  };
  await Promise.all(Array.from({ length: PRODUCERS }, produce));
  return rate(count, start);
}

async function bulk(producer, count) {
  const start = now();
  for (let first = 0; first < count; first += CHUNK) {
    const size = Math.min(CHUNK, count - first);
    await producer.many(Array.from({ length: size }, (_, index) => ({ n: first + index })));
  }
  return rate(count, start);
}

const commands = {
  bulk,
  fill: bulk,
  async one(producer, count) {
    await producer.one({ n: -1 });
    const start = now();
    for (let n = 0; n < count; n++) await producer.one({ n });
    return rate(count, start);
  },
  async conc(producer, count) {
    await producer.one({ n: -1 });
    return atOnce(producer, count);
  },
  // One job at a time on an idle worker. The pause is longer than a poll, so samples fall anywhere in it.
  async lat(producer, count) {
    const longest = Number(process.env.BENCH_PAUSE ?? '0.025') * 1000;
    const calls = [];
    const before = counted();
    for (let number = 0; number < count; number++) {
      const start = now();
      await producer.stamp({ t: start });
      calls.push((now() - start) * 1000);
      while (counted() <= before + number) {
        if (now() - start > 20) throw new Error('a job was not picked up within 20 s');
        await pause(2);
      }
      await pause(5 + Math.random() * (longest - 5));
    }
    return { 'call ms': calls.sort((a, b) => a - b)[count >> 1] };
  },
};

export async function main({ prepare, opened, work }) {
  const [what, count] = process.argv.slice(2);
  if (what === 'work') {
    await work();
    return;
  }
  const told = what === 'prepare' ? (await prepare(), {}) : await commands[what](await opened(), Number(count));
  console.log(`RESULT ${JSON.stringify(told)}`);
  process.exit(0);
}
