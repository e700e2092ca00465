# GitHub's webhook to your receiver, of one organisation or of single repositories. docs/terraform.md says how to use it.
terraform {
  required_providers {
    github = {
      source  = "integrations/github"
      version = "~> 6.0"
    }
  }
}

variable "receiver_url" {
  description = "Where the receiver is reached, such as https://hooks.example.com"
  type        = string
}

variable "secret" {
  description = "The receiver's GITHUB_WEBHOOK_SECRET. Terraform's state contains it."
  type        = string
  sensitive   = true
}

variable "repositories" {
  description = "Names of repositories, without the owner. Empty: one webhook for the whole organisation."
  type        = set(string)
  default     = []
}

locals {
  events = ["deployment_status", "release", "issues"]
}

resource "github_organization_webhook" "apitraffic" {
  count  = length(var.repositories) == 0 ? 1 : 0
  events = local.events

  configuration {
    url          = "${var.receiver_url}/webhooks/github"
    content_type = "json"
    insecure_ssl = false
    secret       = var.secret
  }
}

resource "github_repository_webhook" "apitraffic" {
  for_each   = var.repositories
  repository = each.value
  events     = local.events

  configuration {
    url          = "${var.receiver_url}/webhooks/github"
    content_type = "json"
    insecure_ssl = false
    secret       = var.secret
  }
}
