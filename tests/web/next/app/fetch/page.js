import { headers } from 'next/headers'
import { site } from '../../lib/auth.js'

export default async function Fetch() {
  const user = await site.required(await headers(), '/fetch')
  const reply = await user.fetch(process.env.HELLO_API)
  return <p>{`The API says ${reply.status}`}</p>
}
