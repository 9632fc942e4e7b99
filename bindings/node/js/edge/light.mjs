// The same as ../index.mjs, in the edge runtime of Next.js.
import './edge-light.mjs'

export * from '../index.mjs'
