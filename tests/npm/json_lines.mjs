// One JSON object on each line: commands come in on stdin, and whatever a command
// leads to goes out on stdout. Every command has an id, and one answer with that id.
import { createInterface } from "node:readline";

export function say(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

export async function obey(actions) {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    // Not awaited: a cancel has to overtake the prompt that it cancels.
    actions[command.do](command).then(
      (result) => say({ id: command.id, result: result ?? {} }),
      ({ code = 0, message, data }) => say({ id: command.id, error: { code, message, data } }),
    );
  }
}
