// BullMQ: 100 jobs at once, ended jobs removed.
import { main, need } from './driver.mjs';
import { delay, hit } from './probe.mjs';

const { Queue, Worker } = need('bullmq');

const AT_ONCE = 100;
const connection = { url: process.env.HEADRACE_URL, maxRetriesPerRequest: null };
const opts = { removeOnComplete: true };
const handlers = { noop: () => hit(), stamp: ({ t }) => delay(t) };

await main({
  async prepare() {},
  async opened() {
    const queue = new Queue('bench', { connection });
    return {
      one: (data) => queue.add('noop', data, opts),
      stamp: (data) => queue.add('stamp', data, opts),
      many: (all) => queue.addBulk(all.map((data) => ({ name: 'noop', data, opts }))),
    };
  },
  async work() {
    new Worker('bench', async ({ name, data }) => handlers[name](data), { connection, concurrency: AT_ONCE });
  },
});
