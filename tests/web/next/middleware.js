import { NextResponse } from 'next/server'
import { site } from './lib/edge.js'

export async function middleware(request) {
  const outcome = await site.handle(request, { access: 'signed_in' })
  return outcome instanceof Response ? outcome : NextResponse.next()
}

export const config = { matcher: '/edge/page' }
