// Serves the Worker as `wrangler dev` does: node workerd.mjs
import { bundled, served } from '../workerd.mjs'

const variables = Object.entries(process.env).filter(([name]) => /^(OAUTH|HELLO)_/.test(name) && name !== 'OAUTH_STORE')
const worker = await bundled("export * from './hello/worker.mjs'; export { default } from './hello/worker.mjs'")
await served(Number(process.env.PORT), worker, Object.fromEntries(variables))
