// The same as ../web/index.mjs, in the edge runtime of Next.js.
import './edge-light.mjs'

export * from '../web/index.mjs'
