// The entry point `web` for the edge runtime of Next.js.
import './edge-light.mjs'

export * from '../web/index.mjs'
