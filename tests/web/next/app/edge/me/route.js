import { site } from '../../../lib/edge.js'

export const runtime = 'edge'
export const GET = site.wrap((request, user) => new Response(`Hello, ${user.subject}`), { access: 'signed_in' })
