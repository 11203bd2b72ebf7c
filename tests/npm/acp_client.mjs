// A client that is all `@agentclientprotocol/sdk`, driven by a test over stdin.
// Every update that the SDK gives goes to stdout as it is.
import { client, methods } from "@agentclientprotocol/sdk";
import { createWebSocketStream } from "@agentclientprotocol/sdk/experimental/ws-client";
import { obey, say } from "./json_lines.mjs";

const prompts = new Map();
let connection;

const agent = (method, params, options) => connection.agent.request(method, params, options);
const { session } = methods.agent;

await obey({
  async connect({ url, token }) {
    // Node's own websocket sends no headers, as in a browser: the token is a subprotocol.
    const protocols = ["hermes.acp", `hermes.bearer.${token}`];
    connection = client({ name: "npm-client" })
      .onNotification(methods.client.session.update, ({ params }) => say({ update: params }))
      .connect(createWebSocketStream(url, { protocols }));
    return agent(methods.agent.initialize, { protocolVersion: 1, clientCapabilities: {} });
  },
  new: ({ cwd, meta }) => agent(session.new, { cwd, mcpServers: [], _meta: meta }),
  resume: ({ session: sessionId, cwd, meta }) =>
    agent(session.resume, { sessionId, cwd, mcpServers: [], _meta: meta }),
  prompt({ id, session: sessionId, text }) {
    const cancel = new AbortController();
    prompts.set(id, cancel);
    const params = { sessionId, prompt: [{ type: "text", text }] };
    return agent(session.prompt, params, { cancellationSignal: cancel.signal });
  },
  cancel: ({ session: sessionId }) => connection.agent.notify(session.cancel, { sessionId }),
  async cancelPrompt({ prompt }) {
    prompts.get(prompt).abort();
  },
  async drop() {
    connection.close();
    await connection.closed;
  },
});
