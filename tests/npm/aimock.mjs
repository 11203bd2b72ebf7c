// `@copilotkit/aimock` on a free port, with the fixtures beside this file. Hermes sends
// no headers but a provider's, so the chaos headers that a test asks for are put on its
// requests here, before aimock sees them.
import { createServer, loadFixtureFile } from "@copilotkit/aimock";
import { obey, say } from "./json_lines.mjs";

const fixtures = loadFixtureFile(new URL("aimock.json", import.meta.url).pathname);
const { server, url, journal } = await createServer(fixtures, { port: 0, logLevel: "silent" });
let chaos = {};

server.prependListener("request", (request) => Object.assign(request.headers, chaos));
say({ url });
await obey({
  async chaos({ headers }) {
    chaos = headers;
  },
  async requests() {
    return { count: journal.getAll().length };
  },
});
process.exit(0);
