// Drives @gitpod/sdk 0.6 against a daemon: node on_node.mjs BASE_URL TOKEN ENVIRONMENT_ID
// Prints how each check ended, as JSON on one line.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [baseURL, bearerToken, environmentId] = process.argv.slice(2);
const installed = createRequire(pathToFileURL(`${process.cwd()}/`));
const { default: Gitpod, NotFoundError, AuthenticationError } = installed('@gitpod/sdk');
const { runCommand, runService } = installed('@gitpod/sdk/lib/automation');
const { findMostUsedEnvironmentClass, waitForEnvironmentRunning } = installed('@gitpod/sdk/lib/environment');

const client = new Gitpod({ baseURL, bearerToken });
const { tasks, services } = client.environments.automations;
const reference = () => `r-${randomUUID().slice(0, 12)}`;

async function collect(lines) {
  const found = [];
  for await (const line of lines) found.push(line);
  return found;
}

const checks = {
  async runs_a_command_and_yields_its_lines() {
    for (const word of ['one', 'two']) {
      const lines = await runCommand(client, environmentId, `echo ${word}; sleep 0.3; echo end`);
      assert.deepEqual(await collect(lines), [word, 'end']);
    }
  },
  async runs_a_service_and_yields_its_lines() {
    const name = reference();
    const spec = { commands: { start: 'echo serving; exec sleep 1000' } };
    const lines = await runService(client, environmentId, { reference: name, name: 'A service' }, spec);
    assert.equal((await lines.next()).value, 'serving');
    const found = await services.list({ filter: { references: [name], environmentIds: [environmentId] } });
    await services.stop({ id: found.services[0].id });
    assert.deepEqual(await collect(lines), []);
  },
  async creates_starts_and_watches_a_task() {
    const metadata = { reference: reference(), name: 'A task' };
    const { task } = await tasks.create({ environmentId, metadata, spec: { command: 'exit 3' } });
    const controller = new AbortController();
    const events = await client.events.watch({ environmentId }, { signal: controller.signal });
    const started = (await tasks.start({ id: task.id })).taskExecution;
    for await (const event of events) {
      if (event.resourceId !== started.id) continue;
      const { taskExecution } = await tasks.executions.retrieve({ id: started.id });
      if (taskExecution.status.phase === 'TASK_EXECUTION_PHASE_FAILED') break;
    }
    controller.abort();
    await tasks.delete({ id: task.id });
  },
  async lists_go_over_all_pages() {
    const made = new Set();
    for (let number = 0; number < 5; number += 1) {
      const metadata = { reference: reference(), name: 'A task' };
      made.add((await tasks.create({ environmentId, metadata, spec: { command: 'true' } })).task.id);
    }
    const found = await collect(tasks.list({ pageSize: 2 }));
    const ids = new Set(found.map((task) => task.id));
    assert.equal(ids.size, found.length);
    for (const id of made) assert.ok(ids.has(id));
  },
  async an_environment_runs_and_has_a_class() {
    const { environment } = await client.environments.create({ spec: {} });
    await waitForEnvironmentRunning(client, environment.id);
    assert.ok(await findMostUsedEnvironmentClass(client));
    await client.environments.delete({ environmentId: environment.id });
  },
  async errors_are_of_their_classes() {
    const nobody = '0b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11';
    await assert.rejects(tasks.retrieve({ id: nobody }), NotFoundError);
    const stranger = new Gitpod({ baseURL, bearerToken: 'wrong' });
    await assert.rejects(stranger.identity.getAuthenticatedIdentity(), AuthenticationError);
  },
};

const outcomes = {};
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    outcomes[name] = 'ok';
  } catch (error) {
    outcomes[name] = String(error?.stack ?? error);
  }
}
console.log(JSON.stringify(outcomes));
process.exit(0);
