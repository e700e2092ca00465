# GitLab's webhook to your receiver, of one group (Premium) or of single projects. docs/terraform.md says how to use it.
terraform {
  required_providers {
    gitlab = {
      source  = "gitlabhq/gitlab"
      version = ">= 17.0"
    }
  }
}

variable "receiver_url" {
  description = "Where the receiver is reached, such as https://hooks.example.com"
  type        = string
}

variable "token" {
  description = "The receiver's GITLAB_WEBHOOK_TOKEN. Terraform's state contains it."
  type        = string
  sensitive   = true
}

variable "group" {
  description = "Path or id of a group. Empty: the projects only."
  type        = string
  default     = ""
}

variable "projects" {
  description = "Paths or ids of projects. Do not list those of the group: each of their events would be sent twice."
  type        = set(string)
  default     = []
}

resource "gitlab_group_hook" "apitraffic" {
  count                   = var.group == "" ? 0 : 1
  group                   = var.group
  url                     = "${var.receiver_url}/webhooks/gitlab"
  token                   = var.token
  enable_ssl_verification = true
  push_events             = false # GitLab's default is true
  deployment_events       = true
  releases_events         = true
  feature_flag_events     = true
  issues_events           = true
}

# The provider does not know feature_flag_events for projects (18.6): switch these on by hand if you want them.
resource "gitlab_project_hook" "apitraffic" {
  for_each                = var.projects
  project                 = each.value
  url                     = "${var.receiver_url}/webhooks/gitlab"
  token                   = var.token
  enable_ssl_verification = true
  push_events             = false
  deployment_events       = true
  releases_events         = true
  issues_events           = true
}
