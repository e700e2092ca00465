# PagerDuty's webhook subscription to your receiver. docs/terraform.md says how to use it.
#
# PagerDuty makes the secret and shows it once, in the answer to the request that creates the subscription. The
# resource pagerduty_webhook_subscription drops that answer (provider 3.30), and nothing could verify its webhooks.
# So the request is made by the provider restapi, which keeps the answer in the state.
terraform {
  required_providers {
    restapi = {
      source  = "Mastercard/restapi"
      version = ">= 1.19"
    }
  }
}

variable "receiver_url" {
  description = "Where the receiver is reached, such as https://hooks.example.com"
  type        = string
}

variable "pagerduty_token" {
  description = "API key of PagerDuty that may manage webhooks"
  type        = string
  sensitive   = true
}

variable "service_id" {
  description = "Id of one service, such as PSVC001. Empty: the whole account."
  type        = string
  default     = ""
}

provider "restapi" {
  uri                  = "https://api.pagerduty.com" # in the EU: https://api.eu.pagerduty.com
  write_returns_object = true
  id_attribute         = "webhook_subscription/id"
  headers = {
    Authorization = "Token token=${var.pagerduty_token}"
    Content-Type  = "application/json"
  }
}

locals {
  subscription = {
    webhook_subscription = {
      type        = "webhook_subscription"
      active      = true
      description = "apitraffic-events"
      delivery_method = {
        type = "http_delivery_method"
        url  = "${var.receiver_url}/webhooks/pagerduty"
      }
      filter = var.service_id == "" ? { type = "account_reference" } : { type = "service_reference", id = var.service_id }
      events = [
        "incident.triggered",
        "incident.acknowledged",
        "incident.unacknowledged",
        "incident.escalated",
        "incident.reassigned",
        "incident.delegated",
        "incident.priority_updated",
        "incident.resolved",
        "incident.reopened",
        "incident.annotated",
        "incident.status_update_published",
      ]
    }
  }
}

resource "restapi_object" "apitraffic" {
  path = "/webhook_subscriptions"
  data = jsonencode(local.subscription)
  # A new subscription has a new secret, which the receiver has to be given.
  force_new = [var.receiver_url, var.service_id]
}

output "secret" {
  description = "The receiver's PAGERDUTY_WEBHOOK_SECRET"
  value       = jsondecode(restapi_object.apitraffic.create_response).webhook_subscription.delivery_method.secret
  sensitive   = true
}
