// The entry point `web/next` for the edge runtime of Next.js.
import './edge-light.mjs'

export * from '../web/next.mjs'
