// Uses an agent at a URL as the official client of AG-UI does, which checks every event; prints what it got as JSON.
import { HttpAgent, buildResumeArray } from '@ag-ui/client';
import { randomUUID } from 'node:crypto';

const [url, token] = process.argv.slice(2);
const agentOf = (threadId = randomUUID()) =>
  new HttpAgent({ url: `${url}/ag-ui`, headers: { Authorization: `Bearer ${token}` }, threadId });
const said = (agent, content) => agent.addMessage({ id: randomUUID(), role: 'user', content });
const run = async (agent, more = {}) => {
  const kinds = [];
  let error;
  const subscriber = { onEvent: ({ event }) => { kinds.push(event.type); if (event.type === 'RUN_ERROR') error = event.code; } };
  await agent.runAgent(more, subscriber);
  return { kinds, error };
};
const refused = async (agent, more) => {
  try {
    await run(agent, more);
    return 'nothing';
  } catch (error) {
    return error.message;
  }
};
const calls = (agent) =>
  agent.messages.flatMap((message) => (message.toolCalls ?? []).map((call) => [call.function.name, call.function.arguments]));
const results = (agent) => agent.messages.filter((message) => message.role === 'tool').map((message) => message.content);
const last = (agent) => agent.messages.at(-1).content;
const found = {};

const first = agentOf();
said(first, 'hello');
found.kinds = [...new Set((await run(first)).kinds)];
found.whole = last(first);
said(first, 'and again');
await run(first);
found.again = last(first);

const asking = agentOf();
said(asking, 'call pay {"sum": 5}');
await run(asking);
const [wanted] = asking.pendingInterrupts;
found.interrupt = { reason: wanted.reason, message: wanted.message, required: wanted.responseSchema.required, open: asking.pendingInterrupts.length };
found.calls = calls(asking);
const other = agentOf(asking.threadId);
said(other, 'never mind');
found.busy = await refused(other);
await run(asking, { resume: buildResumeArray(asking.pendingInterrupts, { [wanted.id]: { status: 'resolved', payload: { approved: true, editedArgs: { sum: 4 } } } }) });
found.paid = last(asking);
found.results = results(asking);
found.unanswered = asking.messages.flatMap((message) => message.toolCalls ?? []).length - results(asking).length;

const denied = agentOf();
said(denied, 'call pay {"sum": 6}');
await run(denied);
await run(denied, { resume: buildResumeArray(denied.pendingInterrupts, { [denied.pendingInterrupts[0].id]: { status: 'cancelled' } }) });
found.denied = results(denied);

const asked = agentOf();
said(asked, 'call ask {"q": "Which city?"}');
await run(asked);
found.question = asked.pendingInterrupts[0].reason;
await run(asked, { resume: buildResumeArray(asked.pendingInterrupts, { [asked.pendingInterrupts[0].id]: { status: 'resolved', payload: 'Oslo' } }) });
found.answer = last(asked);

const failing = agentOf();
said(failing, 'fail server_error');
found.failed = (await run(failing)).error;
const stranger = new HttpAgent({ url: `${url}/ag-ui`, headers: { Authorization: 'Bearer nobody' }, threadId: randomUUID() });
said(stranger, 'hello');
found.stranger = (await refused(stranger)).slice(0, 8);
process.stdout.write(JSON.stringify(found));
