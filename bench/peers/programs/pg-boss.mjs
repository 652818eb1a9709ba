// pg-boss: batches of 500 to two loops, NOTIFY on, polling on at once while batches are full, upkeep off.
import { main, need } from './driver.mjs';
import { delay, hit } from './probe.mjs';

const { PgBoss } = need('pg-boss');

const options = {
  connectionString: process.env.HEADRACE_URL,
  max: 16,
  useListenNotify: true,
  supervise: false,
  schedule: false,
};

async function started() {
  const boss = new PgBoss(options);
  boss.on('error', (error) => console.error(error));
  await boss.start();
  return boss;
}

// A handler gets a whole batch.
const noop = async (jobs) => {
  for (const _ of jobs) hit();
};
const stamp = async (jobs) => {
  for (const { data } of jobs) delay(data.t);
};

await main({
  async prepare() {
    const boss = await started();
    await boss.createQueue('noop', { notify: true });
    await boss.createQueue('stamp', { notify: true });
    await boss.stop({ graceful: false });
  },
  async opened() {
    const boss = await started();
    return {
      one: (data) => boss.send('noop', data),
      stamp: (data) => boss.send('stamp', data),
      many: (all) => boss.insert('noop', all.map((data) => ({ data }))),
    };
  },
  async work() {
    const boss = await started();
    const every = {
      batchSize: 500,
      localConcurrency: 2,
      pollingIntervalSeconds: 0.5,
      notifyPollingIntervalSeconds: 5,
      burstWhenBatchFull: true,
    };
    await boss.work('noop', every, noop);
    await boss.work('stamp', every, stamp);
  },
});
