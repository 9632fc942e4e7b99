import { site } from '../../../../lib/edge.js'

export const runtime = 'edge'
export const { GET, POST } = site.routes
