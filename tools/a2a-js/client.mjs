// Uses an agent at a URL as the official client for JavaScript does; prints what it got as JSON.
import { ClientFactory, ClientFactoryOptions, DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';
import { Role, TaskState } from '@a2a-js/sdk';

const [url, binding, version, token] = process.argv.slice(2);
const fetchImpl = (where, options = {}) => {
  const headers = new Headers(options.headers);
  headers.set('Authorization', `Bearer ${token}`);
  return fetch(where, { ...options, headers });
};
const legacyCompat = { enabled: version !== '1.0' };
const transport = { JSONRPC: JsonRpcTransportFactory, 'HTTP+JSON': RestTransportFactory }[binding];
const resolver = new DefaultAgentCardResolver({ fetchImpl, legacyCompat });
const factory = new ClientFactory({ ...ClientFactoryOptions.default, transports: [new transport({ fetchImpl, legacyCompat })], cardResolver: resolver });
const card = await resolver.resolve(url);
card.supportedInterfaces = card.supportedInterfaces.filter(
  (item) => item.protocolBinding === binding && item.protocolVersion.startsWith(version)
);
const client = await factory.createFromAgentCard(card);

const message = (text, messageId, more = {}) => ({
  tenant: '',
  metadata: undefined,
  configuration: undefined,
  message: {
    messageId, role: Role.ROLE_USER, contextId: '', taskId: '', extensions: [], referenceTaskIds: [], metadata: undefined,
    parts: [{ content: { $case: 'text', value: text }, metadata: undefined, filename: '', mediaType: 'text/plain' }],
    ...more,
  },
});
const textOf = (task) => task.artifacts[0].parts.map((part) => part.content.value).join('');
const state = (task) => TaskState[task.status.state];
const refused = async (work) => {
  try {
    await work;
    return 'nothing';
  } catch (error) {
    return error.constructor.name;
  }
};

const found = { schemes: Object.keys(card.securitySchemes).sort() };
const first = await client.sendMessage(message('hello', 'm1'));
found.whole = textOf(first);
found.again = textOf(await client.sendMessage(message('hello', 'm1'))) === found.whole;
let text = '';
const events = [];
for await (const event of client.sendMessageStream(message('say 4 words', 'm2'))) {
  events.push(event.payload.$case);
  if (event.payload.$case === 'artifactUpdate') {
    const update = event.payload.value;
    const piece = update.artifact.parts.map((part) => part.content?.value ?? '').join('');
    text = update.append ? text + piece : piece;
  }
}
found.stream = text;
found.begins = events[0];
found.ends = events.at(-1);
found.get = state(await client.getTask({ tenant: '', id: first.id, historyLength: undefined }));
const waiting = await client.sendMessage(message('call ask {"q": "Which city?"}', 'm3'));
found.waits = state(waiting);
found.question = waiting.status.message.parts[0].content.value;
found.answer = textOf(await client.sendMessage(message('Oslo', 'm4', { taskId: waiting.id })));
const slow = client.sendMessageStream(message('wait 3600 and go', 'm5'));
const began = (await slow.next()).value.payload.value;
found.cancelled = state(await client.cancelTask({ tenant: '', id: began.id, metadata: undefined }));
for await (const event of slow) found.told = state(event.payload.value);
found.unknown = await refused(client.getTask({ tenant: '', id: 'nobody', historyLength: undefined }));
found.ended = await refused(client.sendMessage(message('x', 'm6', { taskId: first.id })));
console.log(JSON.stringify(found));
