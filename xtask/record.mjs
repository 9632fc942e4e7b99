// A reporter of node:test: a line for each test, `ok FILE > TITLE` or `not ok FILE > TITLE`.
import path from 'node:path'

export default async function* record(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    // What was skipped passed nothing.
    const isOk = type === 'test:pass' && data.skip === undefined && data.todo === undefined
    yield `${isOk ? 'ok' : 'not ok'} ${path.basename(data.file ?? '')} > ${data.name}\n`
  }
}
