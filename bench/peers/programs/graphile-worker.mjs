// Graphile Worker as its performance page advises: a local queue, completions in batches without delay. Silent.
import { main, need } from './driver.mjs';
import { delay, hit } from './probe.mjs';

const { Logger, makeWorkerUtils, run } = need('graphile-worker');

const AT_ONCE = 24;
const connectionString = process.env.HEADRACE_URL;
const logger = new Logger(() => () => {});
const utils = () => makeWorkerUtils({ connectionString, logger, maxPoolSize: 16 });

await main({
  async prepare() {
    await (await utils()).migrate();
  },
  async opened() {
    const through = await utils();
    return {
      one: (payload) => through.addJob('noop', payload),
      stamp: (payload) => through.addJob('stamp', payload),
      many: (payloads) => through.addJobs(payloads.map((payload) => ({ identifier: 'noop', payload }))),
    };
  },
  work: () =>
    run({
      logger,
      taskList: { noop: async () => hit(), stamp: async ({ t }) => delay(t) },
      preset: {
        worker: {
          connectionString,
          concurrentJobs: AT_ONCE,
          maxPoolSize: AT_ONCE + 2,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
    }),
});
