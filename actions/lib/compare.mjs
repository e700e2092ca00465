// Links to what changed between two commits, on the hosts whose address for that is known (receiver/insight/compare.py).

const COMMIT = /^[0-9a-f]{7,64}$/u
const LINK = /^https?:\/\/\S+$/u
const LINK_LIMIT = 300
const GITHUB = (repository, old, now) => `${repository}/compare/${old}...${now}`
const GITLAB = (repository, old, now) => `${repository}/-/compare/${old}...${now}`
// The other way round: what is in the first and not in the second.
const BITBUCKET = (repository, old, now) => `${repository}/branches/compare/${now}..${old}`
const HOSTS = {
  'github.com': GITHUB, 'gitlab.com': GITLAB, 'bitbucket.org': BITBUCKET, 'gitea.com': GITHUB, 'codeberg.org': GITHUB,
}
const SOURCES = { github_actions: GITHUB, gitlab_ci: GITLAB }

/** Where to see the commits after `old` up to `now`; undefined if that is not known. */
export function compareUrl({ source, metadata }, old, now) {
  const address = String(metadata.repository_url ?? '')
  if (!LINK.test(address) || address.length > LINK_LIMIT || !URL.canParse(address)) return undefined
  if (!COMMIT.test(old) || !COMMIT.test(now) || old === now) return undefined
  const { protocol, host, hostname, pathname } = new URL(address)
  const known = hostname.replace(/^www\./u, '')
  const form = HOSTS[known] ?? (known.endsWith('.ghe.com') ? GITHUB : SOURCES[source])
  const path = pathname.replace(/\/+$/u, '').replace(/\.git$/u, '')
  return form && path ? form(`${protocol}//${host}${path}`, old, now) : undefined
}
