// The application as a Worker.
import { env } from 'cloudflare:workers'
import { handler } from './app.mjs'
import { store } from './records.mjs'

export { StoredRecord } from './records.mjs'

const { stored, ...settings } = env.SETTINGS
export default { fetch: handler(settings, stored ? store : undefined) }
